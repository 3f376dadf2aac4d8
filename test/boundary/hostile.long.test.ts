/**
 * Runs a bounded, seeded part of the hostile trial (docs/explanation/reliability.md): nothing may be lost, hang, crash or be reported
 * wrongly.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { locateEngine } from '../../trainer/engine/install/engine-folder.ts';
import { cacheDir } from '../support/cache-dir.ts';

const root = join(import.meta.dirname, '..', '..');
const trial = join(root, 'scripts', 'hostile.mjs');

const PARTS = ['kills', 'ranks', 'files', 'frames', 'recipes', 'faults', 'daemon'];
/** Time limit, generous enough for a busy machine. */
const DEADLINE_MS = PARTS.length * 300_000;

const hasEngine = locateEngine(cacheDir) !== undefined;
/** Output of the trial. All parts share one, which bundles its programs once. */
let said = '';
beforeAll(async () => {
  const parts = PARTS.filter(part => part !== 'ranks' || hasEngine).join(',');
  const trying = promisify(execFile)(process.execPath, [trial, '--built', '--sample', '--parts', parts], {
    cwd: root,
    timeout: DEADLINE_MS,
  });
  ({ stderr: said } = await trying.catch((error: { stderr: string; message: string }) => ({
    stderr: `${error.stderr}\n${error.message}`,
  })));
}, DEADLINE_MS);

test.for(PARTS)('%s', (part, { skip }) => {
  skip(part === 'ranks' && !hasEngine, `no tensorflow engine in ${cacheDir}: rowtune engine install`);
  const lines = said.split('\n').filter(line => line.startsWith(`${part}: `));
  expect(lines.filter(line => /: (lost|hung|crashed|wrong): /.test(line))).toEqual([]);
  expect(lines.at(-1), said).toMatch(new RegExp(`^${part}: [1-9]\\d* [a-z ]+, 0 lost, 0 hung, 0 crashed, 0 wrong; \\d+ s$`));
});
