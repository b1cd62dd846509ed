// Operates the stand-in's page in Chromium as people do, with a small app behind it. Pictures go to $SCREENS.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const info = JSON.parse(process.env.DOUBLE);
const { chromium } = createRequire(path.join(process.env.ORACLE_DIR, 'node', 'package.json'))('playwright-core');
const CHANNEL = 'C0DBA0001';
const plain = (text) => ({ type: 'plain_text', text });
const mrkdwn = (text) => ({ type: 'mrkdwn', text });

function check(what, good) {
  if (!good) throw new Error(what);
  console.log(`ok: ${what}`);
}

async function send(url, body, headers = {}) {
  const response = await fetch(url, {
    method: 'POST', headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (answer.ok === false || answer.error) throw new Error(`${url}: ${JSON.stringify(answer)}`);
  return answer;
}

const call = (method, body) => send(`${info.api_url}${method}`, body, { authorization: `Bearer ${info.bot_token}` });
const tell = (name, body) => send(`${info.origin}/_test/${name}`, body);

const expires = Math.floor(Date.now() / 1000) + 300;
const card = [
  { type: 'header', text: plain('Statement held: HLD-7K3Q') },
  { type: 'section', text: mrkdwn(`⏳ Waiting until <!date^${expires}^{time}|soon>, asked: *dba*`) },
  { type: 'section', fields: [mrkdwn('*Agent*\n`billing-bot`'), mrkdwn('*Target*\n`clinic` (production)'),
    mrkdwn('*Rule*\nwrites-are-asked'), mrkdwn('*Estimate*\nabout 4,212 rows of `invoices`')] },
  { type: 'section', text: mrkdwn('*Why it was held*\n• removes rows\n• no condition on the primary key') },
  { type: 'section', text: mrkdwn('```DELETE FROM invoices\n WHERE status = $1\n   AND issued_at &lt; $2```') },
  { type: 'actions', block_id: 'actions', elements: [
    { type: 'button', action_id: 'approve', style: 'primary', value: 'HLD-7K3Q', text: plain('Approve'),
      confirm: { title: plain('Approve HLD-7K3Q?'), text: mrkdwn('About *4,212 rows* go.'), confirm: plain('Approve'), deny: plain('Back') } },
    { type: 'button', action_id: 'deny', style: 'danger', value: 'HLD-7K3Q', text: plain('Deny…') },
    { type: 'button', action_id: 'open', text: plain('Open console'), url: 'http://127.0.0.1:1/' },
  ] },
  { type: 'context', elements: [mrkdwn('Asked: <@U0BOB0001>, <!subteam^S0DBA00001>')] },
];
const modal = {
  type: 'modal', callback_id: 'deny_reason', title: plain('Deny HLD-7K3Q'), submit: plain('Deny'), close: plain('Back'),
  blocks: [{ type: 'input', block_id: 'reason', label: plain('Reason'), hint: plain('The agent reads this.'),
    element: { type: 'plain_text_input', action_id: 'reason', multiline: true, max_length: 500 } }],
};

// The app: approve edits the card, deny opens the modal, a reason of one letter is too short.
let broken = false;
const app = http.createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => { body += chunk; });
  request.on('end', async () => {
    const payload = JSON.parse(new URLSearchParams(body).get('payload'));
    if (broken) {
      response.writeHead(500).end();
    } else if (payload.type === 'view_submission') {
      const said = payload.view.state.values.reason.reason.value;
      const errors = { response_action: 'errors', errors: { reason: 'Say a little more.' } };
      response.writeHead(200, { 'content-type': 'application/json' }).end(said.length < 2 ? JSON.stringify(errors) : '');
    } else {
      response.writeHead(200).end();
      const { channel, message, actions: [action], trigger_id: trigger } = payload;
      if (action.action_id === 'deny') await call('views.open', { trigger_id: trigger, view: modal });
      if (action.action_id === 'approve') {
        await call('chat.update', { channel: channel.id, ts: message.ts, text: 'approved', blocks: card.slice(0, 1) });
      }
    }
  });
});
await new Promise((listening) => app.listen(0, '127.0.0.1', listening));
await tell('interactivity', { mode: 'http', request_url: `http://127.0.0.1:${app.address().port}/` });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 860 }, reducedMotion: 'reduce' });
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.setDefaultTimeout(15_000);
  fs.mkdirSync(process.env.SCREENS, { recursive: true });
  const picture = (name) => page.screenshot({ path: path.join(process.env.SCREENS, `slack-${name}.png`) });
  const as = (user) => page.goto(`${info.origin}/?user=${user}&channel=${CHANNEL}`);
  const post = async (text, blocks) => (await call('chat.postMessage', { channel: CHANNEL, text, blocks })).ts;

  await as('U0BOB0001');
  await page.waitForSelector('body[data-ready=yes]');
  const ts = await post('HLD-7K3Q is held', card);
  const message = page.locator(`li.message[data-ts="${ts}"]`);
  await message.waitFor();
  check('a message appears by itself', (await message.innerText()).includes('Statement held: HLD-7K3Q'));
  check('mrkdwn is rendered', (await message.locator('pre').innerText()).includes('issued_at < $2'));
  check('mentions have names', (await message.innerText()).includes('@Bob, @dba'));
  const bottom = await page.locator('#composer').evaluate((node) => innerHeight - node.getBoundingClientRect().bottom);
  check('the page fills the window', bottom >= 0 && bottom < 30);
  await picture('card');
  await message.screenshot({ path: path.join(process.env.SCREENS, 'slack-card-only.png') });

  await message.locator('[data-action=deny]').click();
  await page.locator('.modal.view textarea').fill('x');
  await page.locator('.modal.view .submit').click();
  await page.getByText('Say a little more.').waitFor();
  check('an error keeps the modal and what was typed', await page.locator('.modal.view textarea').inputValue() === 'x');
  await picture('modal');
  await page.locator('.modal.view textarea').fill('too broad');
  await page.locator('.modal.view .submit').click();
  await page.locator('.modal.view').waitFor({ state: 'detached' });
  check('a submission closes the modal', true);

  broken = true;
  await message.locator('[data-action=deny]').click();
  await message.locator('.triangle').waitFor();
  check('an app that fails shows a warning', true);
  broken = false;

  await message.locator('[data-action=approve]').click();
  await page.locator('.modal.confirm').waitFor();
  await page.locator('.modal.confirm .button.primary').click();
  await message.getByText('(edited)').waitFor();
  check('approving asks first, then edits the card', await message.locator('[data-action]').count() === 0);

  const hostile = '<img src=x onerror=window.owned=1> &lt;script&gt;window.owned=1&lt;/script&gt; <javascript:window.owned=1|click>';
  const attack = await post(hostile, [{ type: 'section', text: mrkdwn(hostile) }]);
  await page.locator(`li.message[data-ts="${attack}"]`).waitFor();
  const dangerous = await page.locator('a[href^="javascript"], li.message img, li.message script').count();
  check('text stays text', dangerous === 0 && await page.evaluate(() => window.owned === undefined));

  await call('chat.postEphemeral', { channel: CHANNEL, user: 'U0EVE0001', text: 'Only reviewers of *dba* can decide.' });
  await as('U0EVE0001');
  await page.locator('li.ephemeral').waitFor();
  await as('U0ANN0001');
  await page.waitForSelector('body[data-ready=yes]');
  check('a whisper is seen by one person', await page.locator('li.ephemeral').count() === 0);

  await page.setViewportSize({ width: 390, height: 844 });
  await post('HLD-9QXM is held', card);
  await page.locator('[data-action=approve]').last().waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  check('nothing is wider than a phone', !wide);
  await picture('phone');
  check(`no script failed: ${faults.join()}`, faults.length === 0);
} finally {
  await browser.close();
  app.close();
}
