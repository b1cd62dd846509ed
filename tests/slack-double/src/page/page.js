// The page: who you are, where you look, what is there. Reads and acts over /_test, redraws on every change.

import { element, mrkdwn } from '/mrkdwn.js';
import { plain, renderBlocks, text } from '/blocks.js';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const COLOURS = ['#c2410c', '#0f766e', '#1d4ed8', '#a21caf', '#4d7c0f', '#b91c1c', '#0369a1', '#7c3aed'];

const state = { info: null, user: '', channel: '', waiting: new Set(), seen: new Map() };

async function ask(path) {
  const response = await fetch(path);
  return response.json();
}

async function tell(path, body) {
  const response = await fetch(path, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `${response.status}`);
  return answer;
}

const names = {
  user: (id) => (id === state.info.workspace.bot_user ? state.info.workspace.bot_name : person(id)?.real_name ?? id),
  channel: (id) => state.info.workspace.channels.find((channel) => channel.id === id)?.name ?? id,
  group: (id) => state.info.workspace.usergroups.find((group) => group.id === id)?.handle ?? id,
};

function person(id) {
  return state.info.workspace.users.find((user) => user.id === id);
}

function colour(id) {
  const at = state.info.workspace.users.findIndex((user) => user.id === id);
  return COLOURS[Math.max(at, 0) % COLOURS.length];
}

// Where the user is, and the app too: elsewhere nothing happens.
function places(user) {
  const { channels, bot_user: bot } = state.info.workspace;
  return channels.filter((place) => place.members.includes(user) && place.members.includes(bot) && !place.is_archived);
}

function avatar(id) {
  const { bot_user: bot } = state.info.workspace;
  const node = element('span', 'avatar');
  if (id === bot) {
    node.classList.add('app');
    node.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><rect x="6.5" y="5" width="3.6" height="14" rx="1.3"/><rect x="13.9" y="5" width="3.6" height="14" rx="1.3"/></svg>';
  } else if (id === 'USLACKBOT') {
    node.classList.add('slackbot');
    node.textContent = '♥';
  } else {
    node.style.background = colour(id);
    node.textContent = names.user(id).slice(0, 1).toUpperCase();
  }
  return node;
}

function time(ts) {
  const when = new Date(Number(ts) * 1000);
  const node = element('time', 'time', when.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }));
  node.dateTime = when.toISOString();
  node.title = when.toLocaleString('en-GB');
  return node;
}

function toast(message) {
  const node = byId('toast');
  node.textContent = message;
  node.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { node.hidden = true; }, 5000);
}

// --- messages

function context(message) {
  const key = (action) => `${message.ts} ${action}`;
  return {
    names,
    waiting: (action) => state.waiting.has(key(action)),
    triangle: (action) => (message.triangles ?? []).includes(action),
    act: async (item, block, option) => {
      if (state.waiting.has(key(item.action_id))) return;
      if (item.confirm && !(await confirmed(item.confirm))) return;
      state.waiting.add(key(item.action_id));
      draw();
      try {
        const wish = { user: state.user, channel: state.channel, ts: message.ts, action_id: item.action_id };
        await tell('/_test/click', option ? { ...wish, option } : wish);
      } catch (error) {
        toast(error.message);
      }
      state.waiting.delete(key(item.action_id));
      draw();
    },
  };
}

function messageNode(message) {
  const { bot_user: bot } = state.info.workspace;
  const from = message.from ?? message.user;
  const node = element('li', `message ${message.from ? 'ephemeral' : ''}`);
  node.dataset.ts = message.ts;
  const head = element('div', 'head', element('span', 'name', from === 'USLACKBOT' ? 'Slackbot' : names.user(from)));
  if (from === bot) head.append(element('span', 'badge', 'APP'));
  head.append(time(message.ts));
  const body = element('div', 'body', head);
  if (message.from) node.append(element('p', 'only-you', '◉ Only visible to you'));
  if (message.blocks.length > 0) {
    body.append(element('div', 'blocks', ...renderBlocks(message.blocks, context(message))));
  } else {
    body.append(element('div', 'text', mrkdwn(message.text, names)));
  }
  if (message.edits > 0) body.append(element('span', 'edited', '(edited)'));
  node.append(element('div', 'row', avatar(from), body));
  return node;
}

function drawMessages(items) {
  const list = byId('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const fresh = new Map();
  const nodes = items.map((message) => {
    const waiting = [...state.waiting].filter((key) => key.startsWith(message.ts)).join();
    const stamp = JSON.stringify(message) + waiting;
    const known = state.seen.get(message.ts);
    const node = known?.stamp === stamp ? known.node : messageNode(message);
    if (!known && state.seen.size > 0) node.classList.add('new');
    fresh.set(message.ts, { stamp, node });
    return node;
  });
  state.seen = fresh;
  if (nodes.length === 0) {
    nodes.push(element('li', 'empty', `Nothing in #${placeName(state.info.workspace.channels.find((channel) => channel.id === state.channel))} yet.`));
  }
  list.replaceChildren(...nodes);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

// --- modals

function layer(className, ...children) {
  const box = element('div', `modal ${className}`, ...children);
  box.role = 'dialog';
  box.ariaModal = 'true';
  return element('div', 'layer', box);
}

function confirmed(dialog) {
  return new Promise((resolve) => {
    const yes = element('button', `button ${dialog.style ?? 'primary'}`, plain(dialog.confirm));
    const no = element('button', 'button', plain(dialog.deny));
    const node = layer('confirm',
      element('header', 'modal-head', element('h2', '', plain(dialog.title))),
      element('div', 'modal-body', element('div', 'text', text(dialog.text, names))),
      element('footer', 'modal-foot', no, yes));
    const finish = (answer) => { node.remove(); resolve(answer); };
    yes.addEventListener('click', () => finish(true));
    no.addEventListener('click', () => finish(false));
    document.body.append(node);
    yes.focus();
  });
}

function viewNode(view) {
  const { view: shown } = view;
  const form = element('form', 'modal-form');
  const close = element('button', 'button', shown.close ? plain(shown.close) : 'Close');
  close.type = 'button';
  const cross = element('button', 'cross', '✕');
  cross.type = 'button';
  cross.ariaLabel = 'Close';
  const foot = element('footer', 'modal-foot', close);
  if (shown.submit) foot.append(element('button', 'button primary submit', plain(shown.submit)));
  const body = element('div', 'modal-body');
  if (view.trouble) body.append(element('p', 'trouble', view.trouble));
  body.append(...renderBlocks(shown.blocks, {
    names, errors: view.errors, waiting: () => false, triangle: () => false, act: () => {},
  }));
  form.append(
    element('header', 'modal-head', element('span', 'modal-app', avatar(state.info.workspace.bot_user)),
      element('h2', '', plain(shown.title)), cross),
    body, foot);
  const leave = () => tell('/_test/close_view', { user: state.user, view_id: view.id }).catch((error) => toast(error.message));
  close.addEventListener('click', leave);
  cross.addEventListener('click', leave);
  form.addEventListener('submit', (event) => { event.preventDefault(); submit(view, form); });
  return layer('view', form);
}

async function submit(view, form) {
  const values = {};
  for (const field of form.querySelectorAll('[data-input]')) {
    values[field.dataset.block] = { [field.dataset.input]: field.read() };
  }
  const button = form.querySelector('.submit');
  button.classList.add('waiting');
  try {
    await tell('/_test/submit_view', { user: state.user, view_id: view.id, values });
  } catch (error) {
    toast(error.message);
  }
  button.classList.remove('waiting');
}

function drawViews(views) {
  const layers = byId('layers');
  const view = views.at(-1);
  const stamp = view ? JSON.stringify(view) : '';
  if (stamp === layers.dataset.stamp) return;
  // What was typed survives a redraw of the same modal.
  const typed = new Map();
  for (const field of layers.querySelectorAll('[data-input]')) typed.set(field.dataset.block, field.value);
  const same = view && layers.dataset.view === view.id;
  layers.dataset.stamp = stamp;
  layers.dataset.view = view?.id ?? '';
  layers.replaceChildren(...(view ? [viewNode(view)] : []));
  for (const field of layers.querySelectorAll('[data-input]')) {
    if (same && typed.has(field.dataset.block)) field.value = typed.get(field.dataset.block);
  }
  layers.querySelector('[data-input]')?.focus();
}

// --- frame

// What the app and a person write to each other has no name of its own.
const placeName = (place) => (place ? place.name || state.info.workspace.bot_name : '');

function drawFrame() {
  const { workspace } = state.info;
  byId('team').textContent = workspace.team_name;
  const place = workspace.channels.find((channel) => channel.id === state.channel);
  document.title = `#${placeName(place)} · ${workspace.team_name}`;
  byId('place').textContent = placeName(place);
  byId('topic').textContent = place?.topic ?? '';
  byId('channels').replaceChildren(...places(state.user).map((channel) => {
    const node = element('button', `channel ${channel.id === state.channel ? 'here' : ''}`, placeName(channel));
    node.addEventListener('click', () => go(state.user, channel.id));
    return element('li', '', node);
  }));
  byId('people').replaceChildren(...workspace.users.filter((user) => !user.is_bot && !user.deleted).map((user) => {
    const node = element('button', `person ${user.id === state.user ? 'here' : ''}`, avatar(user.id), element('span', '', user.real_name));
    node.role = 'radio';
    node.ariaChecked = String(user.id === state.user);
    node.addEventListener('click', () => go(user.id, state.channel));
    return node;
  }));
  byId('say').placeholder = `Message #${placeName(place)}, or /command`;
}

function go(user, channel) {
  const mine = places(user);
  state.user = user;
  state.channel = mine.some((place) => place.id === channel) ? channel : mine[0]?.id ?? '';
  state.seen = new Map();
  history.replaceState(null, '', `?user=${state.user}&channel=${state.channel}`);
  draw();
}

async function drawNow() {
  const of = (path) => `/_test/${path}channel=${encodeURIComponent(state.channel)}&user=${encodeURIComponent(state.user)}`;
  const [messages, whispers, views] = await Promise.all([ask(of('messages?')), ask(of('ephemerals?')), ask(of('views?'))]);
  drawFrame();
  drawMessages([...messages, ...whispers].sort((one, other) => (one.ts < other.ts ? -1 : 1)));
  drawViews(views);
  document.body.dataset.ready = 'yes';
}

// One draw at a time; changes meanwhile cause one more.
let drawing = false;
let again = false;
async function draw() {
  if (drawing) {
    again = true;
    return;
  }
  drawing = true;
  do {
    again = false;
    try {
      await drawNow();
    } catch {
      byId('live').classList.add('lost');
    }
  } while (again);
  drawing = false;
}

function listen() {
  const events = new EventSource('/_test/events');
  const live = byId('live');
  events.addEventListener('changed', () => draw());
  events.addEventListener('open', () => live.classList.remove('lost'));
  events.addEventListener('error', () => live.classList.add('lost'));
}

byId('composer').addEventListener('submit', async (event) => {
  event.preventDefault();
  const said = byId('say').value.trim();
  if (!said) return;
  byId('say').value = '';
  const wish = { user: state.user, channel: state.channel };
  try {
    if (said.startsWith('/')) {
      const [, command, rest] = said.match(/^(\/\S+)\s*(.*)$/s);
      await tell('/_test/command', { ...wish, command, text: rest });
    } else {
      await tell('/_test/say', { ...wish, text: said.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;') });
    }
  } catch (error) {
    toast(error.message);
  }
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.querySelector('#layers .cross')?.click();
});

state.info = await ask('/_test/info');
go(query.get('user') ?? state.info.workspace.users[0].id, query.get('channel') ?? state.info.workspace.channels[0].id);
listen();
