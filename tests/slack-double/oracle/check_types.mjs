// Reads lines of {"blocks": [...]} or {"view": {...}}; prints for each a JSON list of what Slack's types refuse.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const folder = path.resolve(process.argv[2]);
const Ajv = createRequire(path.join(folder, 'package.json'))('ajv');
const ajv = new Ajv({ strict: false, allErrors: true });
const load = (name) => {
  const schema = JSON.parse(fs.readFileSync(path.join(folder, `${name}.schema.json`), 'utf8'));
  return { schema, check: ajv.compile(schema) };
};
const oracles = { blocks: load('Blocks'), view: load('Modal') };

// The `type` of the object an error is about: the one at hand, or the one whose field is wrong.
function typeOf(value, error) {
  let kind;
  let at = value;
  const steps = error.instancePath.split('/').slice(1);
  if (!['required', 'additionalProperties'].includes(error.keyword)) steps.pop();
  for (const step of steps) {
    at = at?.[step];
    kind = at?.type ?? kind;
  }
  return kind;
}

// A union reports every branch that did not fit; only the branch of the object's own type tells something.
function telling(value, schema, errors) {
  const own = (error) => {
    const [, name] = error.schemaPath.match(/definitions\/([^/]+)/) ?? [];
    return schema.definitions[name]?.properties?.type?.const === typeOf(value, error);
  };
  const real = errors.filter((error) => !['anyOf', 'const'].includes(error.keyword));
  const told = real.some(own) ? real.filter(own) : real.length > 0 ? real : errors;
  const lines = told.map((error) => {
    const what = error.params.additionalProperty ?? error.params.allowedValues?.join(', ') ?? '';
    return `${error.instancePath} ${error.message} ${what}`.trim();
  });
  return [...new Set(lines)].slice(0, 8);
}

for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const value = JSON.parse(line);
  const { schema, check } = oracles['view' in value ? 'view' : 'blocks'];
  console.log(JSON.stringify(check(value) ? [] : telling(value, schema, check.errors)));
}
