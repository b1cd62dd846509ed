// The app's manifest against the schema that Slack publishes (github.com/slackapi/manifest-schema, MIT: see
// manifest.schema.LICENSE), and against what the app does.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const here = import.meta.dirname;
const { Ajv } = createRequire(path.join(process.env.ORACLE_DIR, 'node', 'package.json'))('ajv');
const read = (file) => JSON.parse(fs.readFileSync(path.join(here, file), 'utf8'));

function check(what, good) {
  if (!good) throw new Error(what);
  console.log(`ok: ${what}`);
}

const valid = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(read('manifest.schema.json'));
const manifest = read('../../../deploy/slack-manifest.json');
check(`Slack takes it: ${JSON.stringify(valid.errors)}`, valid(manifest));
const [command] = manifest.features.slash_commands;
check('the command goes where the app listens', new URL(command.url).pathname === '/slack/commands');
check('people arrive as mentions', command.should_escape === true);
check('the scope of commands is asked for', manifest.oauth_config.scopes.bot.includes('commands'));

const broken = (change) => {
  const other = structuredClone(manifest);
  change(other);
  return !valid(other);
};
check('an unknown key is found', broken((it) => { it.features.slash_commands[0].colour = 'red'; }));
check('a missing part is found', broken((it) => { delete it.display_information; }));
