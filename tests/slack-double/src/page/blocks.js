// Block Kit to DOM nodes.

import { emojis } from '/emoji.js';
import { element, mrkdwn } from '/mrkdwn.js';

// `context`: names, act(element, block, node), waiting(action_id), triangle(action_id).
export function renderBlocks(blocks, context) {
  return blocks.map((block) => renderBlock(block, context)).filter(Boolean);
}

export function text(object, names) {
  return object.type === 'mrkdwn' ? mrkdwn(object.text, names) : plain(object);
}

export function plain(object) {
  const fragment = document.createDocumentFragment();
  fragment.append(...(object.emoji === false ? [object.text] : emojis(object.text)));
  return fragment;
}

function renderBlock(block, context) {
  const { names } = context;
  switch (block.type) {
    case 'header':
      return element('h3', 'block header', plain(block.text));
    case 'divider':
      return element('hr', 'block');
    case 'section':
      return section(block, context);
    case 'context':
      return element('div', 'block context', ...block.elements.map((item) =>
        item.type === 'image' ? image(item) : element('span', '', text(item, names))));
    case 'actions':
      return element('div', 'block actions', ...block.elements.map((item) => interactive(item, block, context)));
    case 'image':
      return element('figure', 'block', block.title ? element('figcaption', '', plain(block.title)) : null, image(block));
    case 'markdown':
      return element('div', 'block', mrkdwn(block.text, names));
    case 'rich_text':
      return element('div', 'block', ...block.elements.map((part) => richPart(part, names)));
    case 'input':
      return input(block, context);
    default:
      return element('div', 'block unknown', `(${block.type})`);
  }
}

function section(block, context) {
  const node = element('div', 'block section');
  const body = element('div', 'section-body');
  if (block.text) body.append(element('div', 'text', text(block.text, context.names)));
  if (block.fields) {
    body.append(element('div', 'fields', ...block.fields.map((field) => element('div', 'field', text(field, context.names)))));
  }
  node.append(body);
  if (block.accessory) {
    node.append(block.accessory.type === 'image' ? image(block.accessory) : interactive(block.accessory, block, context));
  }
  return node;
}

function image(item) {
  const node = element('img', 'image');
  node.src = item.image_url ?? '';
  node.alt = item.alt_text ?? '';
  return node;
}

function interactive(item, block, context) {
  switch (item.type) {
    case 'button':
      return button(item, block, context);
    case 'overflow':
    case 'static_select':
    case 'radio_buttons':
      return menu(item, block, context);
    default:
      return element('span', 'unknown', `(${item.type})`);
  }
}

function button(item, block, context) {
  const node = element(item.url ? 'a' : 'button', `button ${item.style ?? ''}`, plain(item.text));
  if (item.url) {
    node.href = item.url;
    node.target = '_blank';
    node.rel = 'noreferrer';
  } else {
    node.type = 'button';
  }
  node.dataset.action = item.action_id;
  if (item.accessibility_label) node.ariaLabel = item.accessibility_label;
  if (context.waiting(item.action_id)) node.classList.add('waiting');
  node.addEventListener('click', () => context.act(item, block));
  const wrapped = element('span', 'button-place', node);
  if (context.triangle(item.action_id)) {
    const triangle = element('span', 'triangle', '⚠');
    triangle.title = 'This app did not respond. Operation timed out.';
    triangle.append(element('span', 'triangle-text', 'This app did not respond'));
    wrapped.append(triangle);
  }
  return wrapped;
}

function menu(item, block, context) {
  const select = element('select', 'menu');
  select.dataset.action = item.action_id;
  const first = element('option', '', item.placeholder?.text ?? '⋯');
  first.value = '';
  select.append(first);
  for (const option of item.options ?? []) {
    const node = element('option', '', option.text.text);
    node.value = option.value;
    select.append(node);
  }
  select.addEventListener('change', () => {
    if (select.value) context.act(item, block, select.value);
    select.value = '';
  });
  return select;
}

function richPart(part, names) {
  const leaves = (elements) => elements.map((leaf) => richLeaf(leaf, names));
  switch (part.type) {
    case 'rich_text_preformatted':
      return element('pre', 'fence', ...leaves(part.elements));
    case 'rich_text_quote':
      return element('blockquote', '', ...leaves(part.elements));
    case 'rich_text_list':
      return element(part.style === 'ordered' ? 'ol' : 'ul', 'list', ...part.elements.map((item) => element('li', '', ...leaves(item.elements))));
    default:
      return element('div', 'rich', ...leaves(part.elements));
  }
}

function richLeaf(leaf, names) {
  const style = leaf.style ?? {};
  let node;
  switch (leaf.type) {
    case 'link':
      node = element('a', '', leaf.text ?? leaf.url);
      if (/^https?:/.test(leaf.url)) node.href = leaf.url;
      break;
    case 'user':
      node = element('span', 'mention', '@' + names.user(leaf.user_id));
      break;
    case 'emoji':
      node = element('span', '', ...emojis(`:${leaf.name}:`));
      break;
    default:
      node = leaf.text ?? '';
  }
  for (const [name, tag] of [['code', 'code'], ['bold', 'strong'], ['italic', 'em'], ['strike', 's']]) {
    if (style[name]) node = element(tag, '', node);
  }
  return node;
}

function input(block, context) {
  const { element: item } = block;
  const error = context.errors?.[block.block_id];
  const node = element('label', `block input ${error ? 'wrong' : ''}`);
  node.append(element('span', 'label', plain(block.label), block.optional ? element('span', 'optional', ' (optional)') : null));
  let field;
  if (item.type === 'static_select' || item.type === 'radio_buttons') {
    field = element('select', 'menu');
    for (const option of item.options ?? []) {
      const choice = element('option', '', option.text.text);
      choice.value = option.value;
      field.append(choice);
    }
    field.read = () => ({ selected_option: (item.options ?? []).find((option) => option.value === field.value) ?? null });
  } else {
    field = element(item.multiline ? 'textarea' : 'input', 'field-input');
    if (item.multiline) field.rows = 4;
    field.value = item.initial_value ?? '';
    field.placeholder = item.placeholder ? item.placeholder.text : '';
    if (item.max_length) field.maxLength = item.max_length;
    field.read = () => field.value;
  }
  field.dataset.block = block.block_id;
  field.dataset.input = item.action_id;
  node.append(field);
  if (error) node.append(element('span', 'error', error));
  if (block.hint) node.append(element('span', 'hint', plain(block.hint)));
  return node;
}
