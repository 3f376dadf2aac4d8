/**
 * `npm run hostile`: attacks the trainer with kills, faults, and mutated files, frames and recipes, and counts losses. See
 * docs/explanation/reliability.md.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildBundles, ensurePackages, root, runScript, say } from './steps.mjs';

const PARTS = ['kills', 'ranks', 'files', 'frames', 'recipes', 'faults', 'daemon'];

const HELP = `npm run hostile [-- options]
  --parts P,…   ${PARTS.join(', ')} (default: all)
  --seed N      of everything random (default 1)
  --sample      a bounded part of each, as continuous integration runs it; writes no report
  --built       the bundles of npm run build are there
  --resume      take up a trial of the same seed that was interrupted
The counts of each part go to its row in bench/results/hostile.md. The status is 0 if nothing was lost, hung, crashed or wrong.`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      parts: { type: 'string', default: PARTS.join(',') },
      seed: { type: 'string', default: '1' },
      sample: { type: 'boolean', default: false },
      resume: { type: 'boolean', default: false },
      built: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  const parts = values.parts.split(',');
  const wrong = parts.find(name => !PARTS.includes(name));
  if (wrong !== undefined) throw new Error(`--parts takes ${PARTS.join(', ')}, not '${wrong}'`);
  const seed = Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) throw new Error(`--seed takes a whole number, not '${values.seed}'`);
  return { ...values, parts, seed };
}

async function bundle() {
  const { build } = await import('esbuild');
  const outdir = path.join(root, 'dist', 'hostile');
  const shared = { outdir, bundle: true, platform: 'node', target: 'node20', packages: 'external', logLevel: 'warning' };
  const entries = names => names.map(name => path.join(root, 'test', 'hostile', `${name}.ts`));
  // The tests read files from their own folder, so bundled modules keep their original folder name.
  const bundled = {
    name: 'bundled',
    setup: ({ onLoad }) =>
      onLoad({ filter: /\/test\/.*\.ts$/ }, async ({ path: file }) => ({
        contents: (await readFile(file, 'utf8')).replaceAll('import.meta.dirname', JSON.stringify(path.dirname(file))),
        loader: 'ts',
      })),
  };
  await build({
    ...shared,
    entryPoints: entries(['main', 'job-process', 'fuzz-process', 'daemon-process']),
    format: 'esm',
    plugins: [bundled],
    outExtension: { '.js': '.mjs' },
  });
  await build({ ...shared, entryPoints: entries(['fault-preload']), format: 'cjs', outExtension: { '.js': '.cjs' } });
  return outdir;
}

async function prepareAndRun({ parts, seed, resume, sample: isSample, built }) {
  if (!built) {
    ensurePackages();
    buildBundles();
  }
  const bundles = await bundle();
  const { runTrial } = await import(path.join(bundles, 'main.mjs'));
  const report = isSample ? undefined : path.join(root, 'bench', 'results', 'hostile.md');
  return runTrial({ parts, seed, resume, isSample, report, bundles, root, say });
}

process.exitCode = await runScript({ name: 'hostile', help: HELP, readOptions: readArguments, run: prepareAndRun });
