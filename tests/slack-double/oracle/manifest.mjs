// The app's manifest, against what Slack's reference of manifests says of the parts it has, and against what the app does.
import fs from 'node:fs';
import path from 'node:path';

const file = path.join(import.meta.dirname, '../../../deploy/slack-manifest.json');
const manifest = JSON.parse(fs.readFileSync(file, 'utf8'));

function check(what, good) {
  if (!good) throw new Error(what);
  console.log(`ok: ${what}`);
}

// https://docs.slack.dev/reference/app-manifest: keys that are there, with the longest text of those that have one.
const COMMAND = { command: 32, url: 3000, description: 2000, usage_hint: 1000, should_escape: null };
const TOP = ['_metadata', 'display_information', 'features', 'oauth_config', 'settings'];

function mistakes(manifest) {
  const found = Object.keys(manifest).filter((key) => !TOP.includes(key));
  const name = manifest.display_information?.name ?? '';
  if (name.length < 1 || name.length > 35) found.push('display_information.name');
  const commands = manifest.features?.slash_commands ?? [];
  if (commands.length > 50) found.push('slash_commands');
  for (const command of commands) {
    found.push(...Object.keys(command).filter((key) => !(key in COMMAND)));
    if (!/^\/[^\s/]+$/.test(command.command ?? '')) found.push('command');
    if (!command.description) found.push('description');
    for (const [key, most] of Object.entries(COMMAND)) {
      if (most !== null && (command[key] ?? '').length > most) found.push(key);
    }
  }
  return found;
}

check(`Slack takes it: ${mistakes(manifest)}`, mistakes(manifest).length === 0);
const [command] = manifest.features.slash_commands;
check('the command goes where the app listens', new URL(command.url).pathname === '/slack/commands');
check('people arrive as mentions', command.should_escape === true);
check('the scope of commands is asked for', manifest.oauth_config.scopes.bot.includes('commands'));

const broken = (change) => {
  const other = structuredClone(manifest);
  change(other);
  return mistakes(other).length > 0;
};
check('an unknown key is found', broken((it) => { it.features.slash_commands[0].colour = 'red'; }));
check('a missing part is found', broken((it) => { delete it.display_information; }));
check('a command without its slash is found', broken((it) => { it.features.slash_commands[0].command = 'abeyance'; }));
