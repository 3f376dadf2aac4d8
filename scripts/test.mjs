/** `npm test`: everything a fresh clone needs, then every test. Ends with one line: N passed, N failed, N skipped. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildBundles, ensureEngine, ensurePackages, root, say } from './steps.mjs';

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

function main() {
  ensurePackages();
  buildBundles();
  ensureEngine();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-test-'));
  try {
    const report = path.join(folder, 'report.json');
    const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const counted = counts(report) ?? { passed: 0, failed: 1, skipped: 0 };
    process.stdout.write(`\n${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped\n`);
    process.exitCode = status === 0 && counted.failed === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  say(`error: ${error.message}`);
  process.stdout.write('\n0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
