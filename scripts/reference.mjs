/**
 * `npm run reference`: writes the generated pages of docs/reference. With --check, it writes nothing and fails if a page is out of date.
 * With --measure, it first compares the model folders of test/golden (or the named ones) with their reference numbers on each engine, and
 * writes the largest errors to test/golden/errors.json.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { buildBundles, root, rowtune, say } from './steps.mjs';

const flag = { type: 'boolean', default: false };
const {
  values: { check, measure },
  positionals: wanted,
} = parseArgs({ options: { check: flag, measure: flag }, allowPositionals: true });

async function bundle() {
  const outfile = path.join(root, 'dist', 'reference', 'pages.mjs');
  await build({
    entryPoints: [path.join(root, 'scripts', 'reference', 'pages.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
  return import(outfile);
}

const kindOf = name => (name.startsWith('logits') ? 'logits' : name.startsWith('loss') ? 'loss' : 'gradients');

const sameEngine = (first, second) => first.split(' ')[0] === second.split(' ')[0];

/** Runs `rowtune verify` on model folders, once per engine. */
function measureGolden() {
  buildBundles();
  const golden = path.join(root, 'test', 'golden');
  const file = path.join(golden, 'errors.json');
  const isFolder = name => ['golden.json', 'config.json'].every(part => existsSync(path.join(golden, name, part)));
  const all = readdirSync(golden).filter(isFolder);
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const engines = wanted.length > 0 ? { ...before.engines } : {};
  // Folders that were measured on another machine than the rest, by the name of the engine there.
  const others = new Map(Object.entries(wanted.length > 0 ? (before.others ?? {}) : {}).map(([name, list]) => [name, new Set(list)]));
  const measured = {};
  for (const folder of wanted.length > 0 ? wanted : all)
    for (const engine of ['tensorflow', 'portable']) {
      const { value } = rowtune(['verify', path.join(golden, folder), '--engine', engine]);
      if (!value.checks) throw new Error(`${folder} on ${engine}: ${value.error?.message}`);
      engines[engine] ??= value.engine;
      for (const [name, list] of others) if (sameEngine(name, value.engine)) list.delete(folder);
      if (value.engine !== engines[engine]) others.set(value.engine, (others.get(value.engine) ?? new Set()).add(folder));
      const errors = { logits: 0, loss: 0, gradients: 0 };
      for (const { name, error } of value.checks) errors[kindOf(name)] = Math.max(errors[kindOf(name)], error ?? Number.NaN);
      measured[folder] = { ...measured[folder], [engine]: errors };
    }
  const folders = { ...before.folders, ...measured };
  const kept = Object.fromEntries(all.filter(name => folders[name]).map(name => [name, folders[name]]));
  const listed = [...others].map(([name, list]) => [name, [...list].sort()]).filter(([, list]) => list.length > 0);
  writeFileSync(file, `${JSON.stringify({ engines, others: Object.fromEntries(listed), folders: kept }, null, 2)}\n`);
}

if (measure) measureGolden();
const { referencePages } = await bundle();
const stale = Object.entries(await referencePages(root)).filter(([file, text]) => {
  const at = path.join(root, file);
  return !existsSync(at) || readFileSync(at, 'utf8') !== text;
});
if (check && stale.length > 0) {
  say(`out of date: ${stale.map(([file]) => file).join(', ')}. Run npm run reference and commit the result.`);
  process.exitCode = 1;
} else
  for (const [file, text] of stale) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
    say(`wrote ${file}`);
  }
