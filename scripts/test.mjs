/**
 * `npm test`: installs everything that a fresh clone needs, runs `npm run check`, then the tests. With `--all`, also runs files that take
 * 15 seconds or more, tests in an editor, and tests on a GPU or a software one. If only a few files fail, they run a second time with
 * nothing else running; tests that pass only then are named. Lists the ten slowest files and ends with one line: N passed, N failed, N
 * skipped.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { besidesOf } from './besides.mjs';
import { buildBundles, cacheFolder, ensurePackages, root, say } from './steps.mjs';

const SLOWEST_SHOWN = 10;

/** Maximum number of failed files that run again; if more fail, it is not by chance. */
const MAX_RUN_AGAIN = 3;

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ file: string, seconds: number, counts: Counts, failures: readonly string[] }} TestFile
 */

/**
 * Reads what a run of vitest wrote.
 * @returns {{ files: readonly TestFile[], strayErrors: readonly string[] } | undefined} strayErrors: errors outside of tests, without those
 * in files that failed, which count there; undefined if vitest crashed
 */
function readReport(report) {
  try {
    const { seconds, errors } = JSON.parse(readFileSync(besidesOf(report), 'utf8'));
    const files = JSON.parse(readFileSync(report, 'utf8')).testResults.map(result => readFile(result, seconds));
    const failed = files.filter(hasFailed).map(({ file }) => file);
    const strays = errors.map(({ file, message }) => ({ file: file && path.relative(root, file), message }));
    const strayErrors = strays.filter(({ file }) => !failed.includes(file)).map(({ file = 'no file', message }) => `${file}: ${message}`);
    return { files, strayErrors };
  } catch {
    return undefined;
  }
}

/** @returns {TestFile} the result of a file; one that does not load has no tests and counts as failed */
function readFile({ name, status, assertionResults: tests }, seconds) {
  const failures = tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
  if (status === 'failed' && failures.length === 0) failures.push('the file itself');
  const passed = tests.filter(({ status }) => status === 'passed').length;
  const counts = { passed, failed: failures.length, skipped: tests.filter(({ status }) => !['passed', 'failed'].includes(status)).length };
  return { file: path.relative(root, name), seconds: seconds[name] ?? 0, counts, failures };
}

const hasFailed = ({ failures }) => failures.length > 0;

/** Returns lines about the files that took longest, with their imports and hooks. @param {readonly TestFile[]} files */
function slowestLines(files) {
  const slowest = files.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN);
  return [
    `slowest ${slowest.length} of ${files.length} files`,
    ...slowest.map(({ file, seconds }) => `${seconds.toFixed(1).padStart(8)} s  ${file}`),
  ];
}

/**
 * Runs a Node script. @param {readonly string[]} args @param {boolean} isQuiet true to show its output only when it ends
 * @returns {Promise<boolean>} true if it succeeded
 */
function runNode(args, isQuiet) {
  const output = isQuiet ? 'pipe' : 'inherit';
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', output, output] });
  const shown = [];
  child.stdout?.on('data', part => shown.push(part));
  child.stderr?.on('data', part => shown.push(part));
  return new Promise(resolve =>
    child.on('close', status => {
      process.stdout.write(Buffer.concat(shown));
      resolve(status === 0);
    }),
  );
}

/**
 * Runs vitest. @param {{ args: readonly string[], report: string, isQuiet: boolean }} run isQuiet: true to show its output only when it
 * ends
 * @returns {Promise<boolean>} true if it succeeded
 */
function runVitest({ args, report, isQuiet }) {
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const besides = path.join(root, 'scripts', 'besides.mjs');
  const output = ['--reporter=default', '--reporter=json', `--reporter=${besides}`, `--outputFile.json=${report}`];
  return runNode([vitest, 'run', ...output, ...args], isQuiet);
}

/**
 * Runs steps of `steps.mjs` one after the other, in a process next to this one. @param {readonly string[]} names
 * @throws Error if a step fails instead of continuing without its program
 */
async function runSteps(names) {
  if (!(await runNode([path.join(root, 'scripts', 'run-steps.mjs'), ...names], false)))
    throw new Error(`a step of ${names.join(', ')} failed; see above`);
}

/** Installs engines one after the other, because they share a folder of downloads. @param {boolean} isAll true if everything is tested */
async function installTestedWith(isAll) {
  const engines = ['ensureEngine', 'ensurePjrt', ...(isAll ? ['ensureCardCompilers', 'ensureCheckers'] : [])];
  const programs = [...(isAll ? ['ensureVulkan'] : []), ...(isAll || process.env.ROWTUNE_TEST_SLURM ? ['ensureSlurm'] : [])];
  // Before the tests, because several of them need it at the same time.
  const references = isAll && process.env.CI ? ['ensureReference'] : [];
  await Promise.all([runSteps(engines), runSteps(programs), runSteps(references), fetchModelsAndData()]);
}

/** Downloads real models and data for the tests that use them; tests that lack something are skipped by name. */
async function fetchModelsAndData() {
  const { ensureModel } = await import('./demo/model.mjs');
  const { ensureMiniLm } = await import('./demo/minilm.mjs');
  const { ensureSmoke } = await import('./demo/paper-smoke.mjs');
  const wanted = {
    SmolLM2: ensureModel,
    MiniLM: ensureMiniLm,
    "the data of the paper's tables in small": cache => ensureSmoke(path.join(cache, 'demo')),
  };
  for (const [name, ensure] of Object.entries(wanted))
    await ensure(cacheFolder()).catch(error => say(`continuing without ${name}: ${error.message}`));
}

/**
 * Runs the checks in parallel with installations and tests; the output of each check is shown when it ends.
 * @returns {Promise<boolean>} true if formatting, lint, types, the generated reference and prose are right
 */
async function check() {
  const commands = [
    [path.join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'check', '.'],
    [path.join(root, 'scripts', 'typecheck.mjs')],
    [path.join(root, 'scripts', 'reference.mjs'), '--check'],
    [path.join(root, 'scripts', 'prose.mjs')],
  ];
  let isRight = true;
  // Run one after the other, because installations and tests use the rest of the machine.
  for (const command of commands) isRight = (await runNode(command, true)) && isRight;
  return isRight;
}

/**
 * Runs the tests; if only a few files fail, runs them again, which distinguishes tests that other work disturbed from broken ones.
 * @param {readonly { args: readonly string[], isQuiet: boolean }[]} runs @param {string} folder for reports
 * @returns {Promise<{ files: readonly TestFile[], unstable: readonly string[], strayErrors: readonly string[], isWhole: boolean }>} isWhole:
 * true if vitest ended as its report says
 */
async function runTests(runs, folder) {
  const run = async (options, name) => {
    const report = path.join(folder, `${name}.json`);
    const isGood = await runVitest({ ...options, report });
    const { files, strayErrors } = readReport(report) ?? { files: [], strayErrors: ['the report of vitest is missing'] };
    return { files, strayErrors, isWhole: isGood || strayErrors.length > 0 || files.some(hasFailed) };
  };
  const ended = await Promise.all(runs.map((options, index) => run(options, `report-${index}`)));
  const files = ended.flatMap(({ files }) => files);
  const strayErrors = ended.flatMap(({ strayErrors }) => strayErrors);
  const isWhole = ended.every(({ isWhole }) => isWhole);
  const failed = files.filter(hasFailed);
  if (!isWhole || failed.length === 0 || failed.length > MAX_RUN_AGAIN) return { files, unstable: [], strayErrors, isWhole };
  say(`\nrunning again what failed: ${failed.map(({ file }) => file).join(', ')}`);
  const again = await run({ args: failed.map(({ file }) => file), isQuiet: false }, 'report-again');
  const second = file => again.files.find(other => other.file === file);
  const unstable = failed.flatMap(({ file, failures }) => {
    const { failures: left } = second(file) ?? { failures };
    return failures.filter(name => !left.includes(name)).map(name => `${file}: ${name}`);
  });
  return {
    files: files.map(file => (hasFailed(file) && second(file.file)) || file),
    unstable,
    strayErrors: [...strayErrors, ...again.strayErrors],
    isWhole: again.isWhole,
  };
}

/**
 * The runs of vitest. Tests that mostly wait, in a real editor or for processes, run one at a time next to the others, to keep all cores
 * busy.
 */
const runsOf = isQuick => [
  { args: ['--project', 'alone', '--project', 'shared'], isQuiet: false },
  { args: ['--project', 'waiting', ...(isQuick ? [] : ['--project', 'editor'])], isQuiet: true },
];

async function main() {
  const chosen = process.argv.slice(2).filter(argument => argument !== '--all');
  const isAll = process.argv.includes('--all');
  const isQuick = chosen.length === 0 && !isAll;
  if (isQuick) process.env.ROWTUNE_TEST_QUICK = '1';
  // These tests run on a software GPU if there is no other.
  if (isAll) process.env.ROWTUNE_TEST_GPU = '1';
  ensurePackages();
  buildBundles();
  const checked = chosen.length > 0 ? true : check();
  await installTestedWith(isAll);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-test-'));
  try {
    const runs = chosen.length > 0 ? [{ args: chosen, isQuiet: false }] : runsOf(isQuick);
    const { files, unstable, strayErrors, isWhole } = await runTests(runs, folder);
    const isTidy = await checked;
    const sum = key => files.reduce((total, { counts }) => total + counts[key], 0);
    say(`\n${slowestLines(files).join('\n')}`);
    if (unstable.length > 0) say(`\npassed only when run again:\n  ${unstable.join('\n  ')}`);
    if (isQuick) say('\nleft out: files of a quarter of a minute or more, and the tests in an editor; `npm test -- --all` runs them too');
    if (!isTidy) say('\nnpm run check failed; see above');
    if (strayErrors.length > 0) say(`\nerrors outside of tests:\n  ${strayErrors.join('\n  ')}`);
    if (!isWhole) say('\nvitest broke off; see above');
    const failed = sum('failed') + strayErrors.length + (isTidy ? 0 : 1) + (isWhole ? 0 : 1);
    process.stdout.write(`\n${sum('passed')} passed, ${failed} failed, ${sum('skipped')} skipped\n`);
    process.exitCode = failed === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  say(`error: ${error.message}`);
  process.stdout.write('\n0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
