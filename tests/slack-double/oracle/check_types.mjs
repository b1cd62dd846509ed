// Reads lines of {"blocks": [...]} or {"view": {...}}; prints for each a JSON list of what Slack's types refuse.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const folder = path.resolve(process.argv[2]);
const Ajv = createRequire(path.join(folder, 'package.json'))('ajv');
const ajv = new Ajv({ strict: false, allErrors: true });
const load = (name) => ajv.compile(JSON.parse(fs.readFileSync(path.join(folder, `${name}.schema.json`), 'utf8')));
const checks = { blocks: load('Blocks'), view: load('Modal') };

// A union reports every branch that did not fit; the branch of the block's own type says what is wrong.
const telling = (errors) => {
  const told = errors.filter((error) => !['anyOf', 'const'].includes(error.keyword));
  return (told.length > 0 ? told : errors).slice(0, 8).map((error) => {
    const what = error.params.additionalProperty ?? error.params.allowedValues?.join(', ') ?? '';
    return `${error.instancePath} ${error.message} ${what}`.trim();
  });
};

for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const value = JSON.parse(line);
  const check = checks['view' in value ? 'view' : 'blocks'];
  console.log(JSON.stringify(check(value) ? [] : telling(check.errors)));
}
