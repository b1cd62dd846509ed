// Emoji as small drawings, as Slack does it: a machine without an emoji font shows the same card.

const svg = (body) => `<svg viewBox="0 0 20 20" aria-hidden="true">${body}</svg>`;
const disc = (fill) => svg(`<circle cx="10" cy="10" r="8" fill="${fill}"/>`);
const tile = (fill, body) => svg(`<rect x="1.5" y="1.5" width="17" height="17" rx="3.6" fill="${fill}"/>${body}`);
const stroke = (colour, path, width = 2.6) =>
  `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round"/>`;
const glass = svg(
  '<path d="M5 2.2h10v1.9c0 2.9-3.3 4.2-3.3 5.9s3.3 3 3.3 5.9v1.9H5v-1.9C5 13 8.3 11.7 8.3 10S5 7 5 4.1z" fill="#cfe8f7"/>'
  + '<path d="M6.6 5.2h6.8c-.6 1.9-2.5 2.7-3.4 4.3-.9-1.6-2.8-2.4-3.4-4.3zM6 17c.2-1.8 2-2.9 4-2.9s3.8 1.1 4 2.9z" fill="#f0b429"/>'
  + '<rect x="3.6" y="1.3" width="12.8" height="2.3" rx="1.15" fill="#8a5a2b"/><rect x="3.6" y="16.4" width="12.8" height="2.3" rx="1.15" fill="#8a5a2b"/>');

const DRAWN = {
  '⏳': glass,
  '⌛': glass,
  '✅': tile('#2ea869', stroke('#fff', 'M5.5 10.4l3.1 3.1 6-6.8')),
  '✔': svg(stroke('#1d7f4c', 'M3.5 10.6l4.2 4.3 8.8-10', 3)),
  '❌': svg(stroke('#d8314f', 'M4.5 4.5l11 11M15.5 4.5l-11 11', 3.4)),
  '⛔': svg('<circle cx="10" cy="10" r="8.5" fill="#d8314f"/><rect x="4.6" y="8.3" width="10.8" height="3.4" rx="1" fill="#fff"/>'),
  '🚫': svg(`<circle cx="10" cy="10" r="7.3" fill="none" stroke="#d8314f" stroke-width="2.6"/>${stroke('#d8314f', 'M5 15L15 5')}`),
  '⚠': svg(`<path d="M10 1.9c.7 0 1.3.4 1.6 1l7 12.6c.7 1.2-.2 2.7-1.6 2.7H3c-1.4 0-2.3-1.5-1.6-2.7l7-12.6c.3-.6.9-1 1.6-1z" fill="#f5b82e"/>${stroke('#3b2a05', 'M10 7v4.7', 2.2)}<circle cx="10" cy="14.9" r="1.35" fill="#3b2a05"/>`),
  '▶': tile('#3b82c4', '<path d="M7.3 5.7v8.6c0 .6.6 1 1.1.6l6.2-4.3c.4-.3.4-.9 0-1.2L8.4 5.1c-.5-.4-1.1 0-1.1.6z" fill="#fff"/>'),
  '⚪': svg('<circle cx="10" cy="10" r="7.5" fill="#eceaee" stroke="#c3bec8"/>'),
  '🟢': disc('#2ea869'),
  '🟡': disc('#f0b429'),
  '🔴': disc('#d8314f'),
  '🔵': disc('#3b82c4'),
  '🔒': svg(`${stroke('#8b8592', 'M6.3 9V6.5a3.7 3.7 0 0 1 7.4 0V9', 2)}<rect x="3.8" y="8.6" width="12.4" height="9.4" rx="2" fill="#f0b429"/><circle cx="10" cy="13.2" r="1.5" fill="#7a5a10"/>`),
  '🔔': svg('<path d="M10 2a5.4 5.4 0 0 0-5.4 5.4c0 4.3-1.9 5.6-1.9 7.1h14.6c0-1.5-1.9-2.8-1.9-7.1A5.4 5.4 0 0 0 10 2z" fill="#f0b429"/><path d="M8 15.6a2 2 0 0 0 4 0z" fill="#a87412"/>'),
  '👀': svg('<ellipse cx="6" cy="10" rx="3.9" ry="5.4" fill="#fff" stroke="#c3bec8"/><ellipse cx="14" cy="10" rx="3.9" ry="5.4" fill="#fff" stroke="#c3bec8"/><circle cx="5" cy="11" r="1.9" fill="#3b3140"/><circle cx="13" cy="11" r="1.9" fill="#3b3140"/>'),
  '⏱': svg(`<circle cx="10" cy="11" r="6.8" fill="#f6f4f8" stroke="#8b8592" stroke-width="1.8"/><rect x="8.2" y="1" width="3.6" height="2.3" rx="1" fill="#8b8592"/>${stroke('#d8314f', 'M10 11V7.2', 1.7)}`),
  '⏰': svg(`<circle cx="10" cy="11" r="6.8" fill="#f6f4f8" stroke="#d8314f" stroke-width="1.8"/>${stroke('#3b3140', 'M10 7.5V11l2.5 1.5', 1.7)}`),
};

const NAMED = {
  white_check_mark: '✅', heavy_check_mark: '✔', x: '❌', no_entry: '⛔', no_entry_sign: '🚫', warning: '⚠',
  hourglass: '⌛', hourglass_flowing_sand: '⏳', stopwatch: '⏱', alarm_clock: '⏰', lock: '🔒', eyes: '👀',
  bell: '🔔', arrow_forward: '▶', large_green_circle: '🟢', large_yellow_circle: '🟡', red_circle: '🔴',
  large_blue_circle: '🔵', white_circle: '⚪', thumbsup: '👍', '+1': '👍', thumbsdown: '👎', '-1': '👎',
  wave: '👋', memo: '📝', mag: '🔍', link: '🔗', robot_face: '🤖', shield: '🛡', key: '🔑', rotating_light: '🚨',
};

const PATTERN = new RegExp(`(?:${Object.keys(DRAWN).join('|')})\\uFE0F?`, 'u');

// The text with `:names:` resolved, and drawings where there are some.
export function emojis(text) {
  const nodes = [];
  let rest = text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => NAMED[name] ?? whole);
  for (let match = rest.match(PATTERN); match; match = rest.match(PATTERN)) {
    if (match.index > 0) nodes.push(rest.slice(0, match.index));
    const node = document.createElement('span');
    node.className = 'emoji';
    node.role = 'img';
    node.ariaLabel = match[0];
    node.innerHTML = DRAWN[match[0].replace('\uFE0F', '')];
    nodes.push(node);
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) nodes.push(rest);
  return nodes;
}
