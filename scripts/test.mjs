/** `npm test`: everything a fresh clone needs, `npm run check`, then every test. Lists the slowest ten files and ends with one line: N passed, N failed, N skipped. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, root, say } from './steps.mjs';

/** @returns {{ passed: number, failed: number, skipped: number } | undefined} what vitest counted; undefined when it broke off */
function counts(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests = 0, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    // A file that does not even load has no tests to count.
    const broken = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0).length;
    return { passed: numPassedTests, failed: numFailedTests + broken, skipped: numPendingTests + numTodoTests };
  } catch {
    return undefined;
  }
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

/** @returns {boolean} whether formatting, lint, types and the generated reference are right */
function check() {
  const commands = [
    [path.join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'check', '.'],
    [path.join(root, 'scripts', 'typecheck.mjs')],
    [path.join(root, 'scripts', 'reference.mjs'), '--check'],
  ];
  return commands
    .map(command => spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' }).status)
    .every(status => status === 0);
}

async function main() {
  const chosen = process.argv.slice(2);
  ensurePackages();
  buildBundles();
  ensureEngine();
  await fetchModelsAndData();
  const isTidy = chosen.length > 0 || check();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-test-'));
  try {
    const report = path.join(folder, 'report.json');
    const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const slowest = path.join(root, 'scripts', 'slowest-files.mjs');
    const reporters = ['--reporter=default', `--reporter=${slowest}`, '--reporter=json', `--outputFile.json=${report}`];
    const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...chosen], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const counted = counts(report) ?? { passed: 0, failed: 1, skipped: 0 };
    if (!isTidy) say('\nnpm run check failed; see the top of this output');
    const failed = counted.failed + (isTidy ? 0 : 1);
    process.stdout.write(`\n${counted.passed} passed, ${failed} failed, ${counted.skipped} skipped\n`);
    process.exitCode = status === 0 && failed === 0 ? 0 : 1;
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
