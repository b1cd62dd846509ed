// Slack's mrkdwn to DOM nodes. Text never passes through innerHTML.

import { emojis } from '/emoji.js';

const decode = (text) => text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Text as Slack shows it: code fences, quotes, then line by line.
export function mrkdwn(text, names) {
  const out = document.createDocumentFragment();
  const parts = text.split(/```/);
  parts.forEach((part, index) => {
    const fenced = index % 2 === 1 && index < parts.length - 1;
    if (fenced) {
      out.append(element('pre', 'fence', ...inlineCode(part.replace(/^\n/, '').replace(/\n$/, ''), names)));
    } else {
      const loose = index % 2 === 1 ? '```' + part : part;
      // A fence is a block: the line break beside it is not shown twice.
      const trimmed = loose.replace(index > 0 ? /^\n/ : /^$/, '').replace(index < parts.length - 1 ? /\n$/ : /$^/, '');
      if (trimmed) out.append(...paragraphs(trimmed, names));
    }
  });
  return out;
}

function paragraphs(text, names) {
  const nodes = [];
  let quote = null;
  text.split('\n').forEach((line, index, lines) => {
    const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
    if (quoted) {
      if (!quote) nodes.push((quote = element('blockquote')));
      quote.append(element('div', '', ...inline(quoted[1], names)));
      return;
    }
    const afterQuote = quote !== null;
    quote = null;
    if (index > 0 && !afterQuote) nodes.push(document.createElement('br'));
    const bullet = line.match(/^(\s*)[•◦▪] (.*)$/);
    if (bullet) {
      const previous = nodes.at(-1);
      if (previous?.tagName === 'BR') nodes.pop();
      nodes.push(element('div', 'bullet', ...inline(bullet[2], names)));
      if (index + 1 < lines.length && !/^\s*[•◦▪] /.test(lines[index + 1])) quote = undefined;
    } else {
      nodes.push(...inline(line, names));
    }
  });
  return nodes;
}

// In code only links and mentions are resolved.
function inlineCode(text, names) {
  return split(text, /<([^<>\n]+)>/, (match) => [control(match[1], names)], (plain) => [decode(plain)]);
}

function inline(text, names) {
  return split(text, /`([^`\n]+)`/, (match) => [element('code', '', ...inlineCode(match[1], names))],
    (rest) => split(rest, /<([^<>\n]+)>/, (match) => [control(match[1], names)], (plain) => styled(plain)));
}

// Splits at every match; `found` and `between` give nodes.
function split(text, pattern, found, between) {
  const nodes = [];
  let rest = text;
  for (;;) {
    const match = rest.match(pattern);
    if (!match) break;
    if (match.index > 0) nodes.push(...between(rest.slice(0, match.index)));
    nodes.push(...found(match));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) nodes.push(...between(rest));
  return nodes;
}

const STYLES = [
  ['strong', /(^|[\s(\[{"'_~.,:;!?|-])\*(\S(?:[^*\n]*\S)?)\*(?=$|[\s)\]}"'_~.,:;!?|-])/],
  ['em', /(^|[\s(\[{"'*~.,:;!?|-])_(\S(?:[^_\n]*\S)?)_(?=$|[\s)\]}"'*~.,:;!?|-])/],
  ['s', /(^|[\s(\[{"'*_.,:;!?|-])~(\S(?:[^~\n]*\S)?)~(?=$|[\s)\]}"'*_.,:;!?|-])/],
];

function styled(text) {
  for (const [tag, pattern] of STYLES) {
    const match = text.match(pattern);
    if (match) {
      const start = match.index + match[1].length;
      return [
        ...styled(text.slice(0, start)),
        element(tag, '', ...styled(match[2])),
        ...styled(text.slice(match.index + match[0].length)),
      ];
    }
  }
  return text ? emojis(decode(text)) : [];
}

// What stands between angle brackets.
function control(inside, names) {
  const [target, label] = inside.split(/\|(.*)/s);
  if (target.startsWith('@')) return element('span', 'mention', '@' + names.user(target.slice(1)));
  if (target.startsWith('#')) return element('span', 'mention', '#' + names.channel(target.slice(1)));
  if (target.startsWith('!date^')) return date(target, label);
  if (target.startsWith('!subteam^')) return element('span', 'mention', '@' + names.group(target.slice(9)));
  if (target.startsWith('!')) return element('span', 'mention', '@' + target.slice(1));
  const link = element('a', '', decode(label ?? target));
  if (/^(https?:|mailto:)/.test(target)) link.href = decode(target);
  link.target = '_blank';
  link.rel = 'noreferrer';
  return link;
}

function date(target, fallback) {
  const [, seconds, format] = target.split('^');
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime()) || !format) return fallback ?? target;
  const show = (options) => when.toLocaleString('en-GB', options);
  const day = (style) => {
    const days = Math.round((new Date(when).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 86_400_000);
    return { '-1': 'yesterday', 0: 'today', 1: 'tomorrow' }[days] ?? show(style);
  };
  const long = { day: 'numeric', month: 'long', year: 'numeric' };
  const short = { day: 'numeric', month: 'short', year: 'numeric' };
  const text = format
    .replaceAll('{date_long_pretty}', () => day({ weekday: 'long', ...long }))
    .replaceAll('{date_short_pretty}', () => day(short))
    .replaceAll('{date_pretty}', () => day(long))
    .replaceAll('{date_long}', () => show({ weekday: 'long', ...long }))
    .replaceAll('{date_short}', () => show(short))
    .replaceAll('{date_num}', () => when.toISOString().slice(0, 10))
    .replaceAll('{date}', () => show(long))
    .replaceAll('{time_secs}', () => show({ hour: '2-digit', minute: '2-digit', second: '2-digit' }))
    .replaceAll('{time}', () => show({ hour: '2-digit', minute: '2-digit' }))
    .replaceAll('{ago}', () => ago(when));
  const node = element('time', '', text);
  node.dateTime = when.toISOString();
  node.title = when.toLocaleString('en-GB');
  return node;
}

function ago(when) {
  const seconds = Math.round((when.getTime() - Date.now()) / 1000);
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  if (Math.abs(seconds) < 90) return format.format(seconds, 'second');
  if (Math.abs(seconds) < 5400) return format.format(Math.round(seconds / 60), 'minute');
  return format.format(Math.round(seconds / 3600), 'hour');
}
