// What the schema is generated from: the blocks and views of Slack's published types.
import type { KnownBlock, ModalView } from '@slack/types';

export interface Blocks {
  blocks: KnownBlock[];
}

// ModalView allows any block with a type; what is known must be right.
export interface Modal {
  view: Omit<ModalView, 'blocks'> & { blocks: KnownBlock[] };
}
