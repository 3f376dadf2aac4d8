/**
 * Runs a bounded, seeded part of the hostile trial (docs/explanation/reliability.md): nothing may be lost, hang, crash or be reported
 * wrongly.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { locateEngine } from '../../trainer/engine/install/engine-folder.ts';
import { cacheDir } from '../support/cache-dir.ts';

const root = join(import.meta.dirname, '..', '..');
const trial = join(root, 'scripts', 'hostile.mjs');

/** Time limit for a part, generous enough for a busy machine. */
const DEADLINE_MS = 300_000;

test.for(['kills', 'ranks', 'files', 'frames', 'recipes', 'faults', 'daemon'])('%s', { timeout: DEADLINE_MS }, async (part, { skip }) => {
  skip(part === 'ranks' && !locateEngine(cacheDir), `no tensorflow engine in ${cacheDir}: rowtune engine install`);
  const { stderr } = await promisify(execFile)(process.execPath, [trial, '--built', '--sample', '--parts', part], {
    cwd: root,
    timeout: DEADLINE_MS,
  }).catch((error: { stderr: string; message: string }) => ({ stderr: `${error.message}\n${error.stderr}` }));
  const lines = stderr.trim().split('\n');
  expect(lines.filter(line => /: (lost|hung|crashed|wrong): /.test(line))).toEqual([]);
  expect(lines.at(-1)).toMatch(new RegExp(`^${part}: [1-9]\\d* [a-z ]+, 0 lost, 0 hung, 0 crashed, 0 wrong; \\d+ s$`));
});
