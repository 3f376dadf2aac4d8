/** Tests commands that read untrusted files: another process reads, and if it dies, the command reports an error. */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROWTUNE } from '../support/daemon/daemon.ts';
import { makeWorkspace } from '../unit/lint/check-view.ts';

const folder = makeWorkspace();
const program = path.join(folder, 'program', 'rowtune.js');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(() => {
  mkdirSync(path.dirname(program));
  writeFileSync(path.join(path.dirname(program), 'package.json'), '{"type": "module"}');
  const built = path.dirname(ROWTUNE);
  const bundles = readdirSync(built).filter(name => name === path.basename(ROWTUNE) || /^shared-.*\.js$/.test(name));
  for (const name of bundles) copyFileSync(path.join(built, name), path.join(path.dirname(program), name));
  // As the system kills a process that uses up all memory.
  writeFileSync(path.join(path.dirname(program), 'reader.js'), "process.on('message', () => process.kill(process.pid, 'SIGKILL'));");
  writeFileSync(path.join(folder, 'a.rowtune.yaml'), 'model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: spam.jsonl}\n');
});

async function run(...args: string[]): Promise<{ readonly status: number; readonly said: string }> {
  const env = { ...process.env, XDG_CACHE_HOME: path.join(folder, 'cache'), ROWTUNE_CACHE: path.join(folder, 'cache') };
  const child = promisify(execFile)(process.execPath, [program, ...args], { cwd: folder, env });
  return child.then(
    ({ stdout, stderr }) => ({ status: 0, said: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({ status: error.code, said: error.stdout + error.stderr }),
  );
}

const STOPPED = /took more than .* of memory and was stopped\. The file is damaged, or was made to use up time and memory/;

test('lint reports the model and the data that could not be read, and continues with the next file', async () => {
  const { status, said } = await run('lint', 'a.rowtune.yaml', 'models/tiny/config.json');
  expect(status).toBe(2);
  expect(said).toMatch(new RegExp(`a\\.rowtune\\.yaml:1:8 error unreadable-model .*${STOPPED.source}`));
  expect(said).toMatch(new RegExp(`a\\.rowtune\\.yaml:4:15 error unreadable-data .*${STOPPED.source}`));
  expect(said).toMatch(new RegExp(`config\\.json:1:1 error invalid-config .*${STOPPED.source}`));
});

test.each([['estimate'], ['estimate', '--plan'], ['graph']])('%s %s ends with an error that says so', async (...args) => {
  const { status, said } = await run(...args, 'a.rowtune.yaml');
  expect(status).toBe(1);
  expect(said).toMatch(STOPPED);
  expect(said).not.toMatch(/^\s+at /m);
});
