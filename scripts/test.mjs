/** `npm test`: everything a fresh clone needs, `npm run check`, then every test. Lists the slowest ten files and ends with one line: N passed, N failed, N skipped. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, ensurePjrt, root, say } from './steps.mjs';

const SLOWEST_SHOWN = 10;

/**
 * Reads a report of vitest.
 * @returns {{ passed: number, failed: number, skipped: number, files: { file: string, seconds: number }[] }} one failed test when it broke off
 */
function readReport(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests = 0, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    // A file that does not even load has no tests to count.
    const broken = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0).length;
    const files = testResults.map(({ name, startTime, endTime }) => ({
      file: path.relative(root, name),
      seconds: (endTime - startTime) / 1000,
    }));
    return { passed: numPassedTests, failed: numFailedTests + broken, skipped: numPendingTests + numTodoTests, files };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, files: [] };
  }
}

/** Returns the lines about the files whose tests took longest. @param {readonly { file: string, seconds: number }[]} files */
function slowestLines(files) {
  const slowest = files.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN);
  return [
    `slowest ${slowest.length} of ${files.length} files`,
    ...slowest.map(({ file, seconds }) => `${seconds.toFixed(1).padStart(8)} s  ${file}`),
  ];
}

/**
 * Runs a script of Node. @param {readonly string[]} args @param {boolean} isQuiet its output is shown when it ends
 * @returns {Promise<boolean>} whether all went well
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
 * Runs vitest. @param {{ args: readonly string[], report: string, isQuiet: boolean }} run isQuiet: its output is shown when it ends
 * @returns {Promise<boolean>} whether all went well
 */
function runVitest({ args, report, isQuiet }) {
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const output = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  return runNode([vitest, 'run', ...output, ...args], isQuiet);
}

/** Some tests run real models on real data; those of which something is missing are skipped, by name. */
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
 * Checks next to the tests; the output of each check is shown when it ends.
 * @returns {Promise<boolean>} whether formatting, lint, types, the generated reference and prose are right
 */
async function check() {
  const commands = [
    [path.join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'check', '.'],
    [path.join(root, 'scripts', 'typecheck.mjs')],
    [path.join(root, 'scripts', 'reference.mjs'), '--check'],
    [path.join(root, 'scripts', 'prose.mjs')],
  ];
  let isRight = true;
  // One after the other: the tests take what else there is of the machine.
  for (const command of commands) isRight = (await runNode(command, true)) && isRight;
  return isRight;
}

async function main() {
  const chosen = process.argv.slice(2);
  ensurePackages();
  buildBundles();
  ensureEngine();
  ensurePjrt();
  await fetchModelsAndData();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-test-'));
  try {
    // Tests in a real editor mostly wait for it: they run one at a time, next to the others.
    const runs =
      chosen.length > 0
        ? [{ args: chosen, isQuiet: false }]
        : [
            { args: ['--project', 'rooms', '--project', 'units'], isQuiet: false },
            { args: ['--project', 'editor'], isQuiet: true },
          ];
    const withReports = runs.map((run, index) => ({ ...run, report: path.join(folder, `report-${index}.json`) }));
    const checked = chosen.length > 0 ? true : check();
    const ended = await Promise.all(withReports.map(runVitest));
    const isTidy = await checked;
    const reports = withReports.map(({ report }) => readReport(report));
    const sum = key => reports.reduce((total, report) => total + report[key], 0);
    say(`\n${slowestLines(reports.flatMap(({ files }) => files)).join('\n')}`);
    if (!isTidy) say('\nnpm run check failed; see above');
    const failed = sum('failed') + (isTidy ? 0 : 1);
    process.stdout.write(`\n${sum('passed')} passed, ${failed} failed, ${sum('skipped')} skipped\n`);
    process.exitCode = ended.every(Boolean) && failed === 0 ? 0 : 1;
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
