/** Tests how the client runs the trainer's command line: which Node, which environment, and how results and errors are returned. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { reportError } from '../../../../client/ask/error-report.ts';
import { cleanEnvironment, findNode, findTrainer, runRowtune } from '../../../../client/daemon/rowtune-program.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-program-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const script = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};
const executable = (name: string, text: string): string => {
  const file = script(name, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  return file;
};
const node = { command: process.execPath, env: {} };
const run = (program: string, more: Partial<Parameters<typeof runRowtune>[0]> = {}) =>
  runRowtune({ node, program, args: ['x'], env: process.env, ...more });

describe('Node', () => {
  const search = { configured: '', execPath: '/the/editor', env: process.env };

  test('is the configured one', async () => {
    expect(await findNode({ ...search, configured: process.execPath })).toEqual({ command: process.execPath, env: {} });
  });

  test('that is missing or too old is an error', async () => {
    await expect(findNode({ ...search, configured: join(folder, 'none') })).rejects.toMatchObject({
      code: 'node-unusable',
      message: expect.stringContaining('does not start'),
    });
    const old = executable('old', 'echo v18.2.0');
    await expect(findNode({ ...search, configured: old })).rejects.toMatchObject({ message: expect.stringContaining('is Node 18') });
  });

  test("comes from the PATH, or else is the editor's own", async () => {
    expect(await findNode({ ...search, env: { PATH: join(process.execPath, '..') } })).toEqual({ command: 'node', env: {} });
    expect(await findNode({ ...search, env: { PATH: folder } })).toEqual({ command: '/the/editor', env: { ELECTRON_RUN_AS_NODE: '1' } });
  });

  test("does not inherit the editor's own variables", () => {
    const env = { PATH: '/bin', VSCODE_PID: '1', ELECTRON_RUN_AS_NODE: '1', NODE_OPTIONS: '--inspect', HF_HOME: '/h' };
    expect(cleanEnvironment(env)).toEqual({ PATH: '/bin', HF_HOME: '/h', ROWTUNE_CLEARED_VARIABLES: 'NODE_OPTIONS' });
    expect(cleanEnvironment({ PATH: '/bin' })).toEqual({ PATH: '/bin' });
  });
});

describe('the program', () => {
  const bundled = '/the/extension/rowtune.js';

  test('is the bundled one, or the configured one', async () => {
    expect(await findTrainer({ configured: '', bundled })).toBe(bundled);
    const own = script('own.js', '');
    expect(await findTrainer({ configured: own, bundled })).toBe(own);
  });

  test.each([
    ['none.js', 'does not exist'],
    ['.', 'is not a file'],
  ])('%s is refused, with the setting to change', async (name, problem) => {
    const error = await findTrainer({ configured: join(folder, name), bundled }).catch((thrown: unknown) => thrown);
    expect(reportError(error, { hasRecipe: false, isRemote: false })).toEqual({
      message: `${join(folder, name)} (the setting rowtune.trainerPath) ${problem}. Give the path of the trainer's rowtune.js, or leave the setting empty.`,
      remedies: ['openTrainerSetting'],
    });
  });
});

describe('a call', () => {
  test('returns the object printed last, and passes on lines as they come', async () => {
    const program = script(
      'good.mjs',
      `console.error('one'); console.error('two'); console.log('noise'); console.log(JSON.stringify({ ok: true, args: process.argv.slice(2) }));`,
    );
    const lines: string[] = [];
    expect(await run(program, { onLine: line => lines.push(line) })).toEqual({ ok: true, args: ['x', '--json'] });
    expect(lines).toEqual(['one', 'two']);
  });

  test('that fails has the error that the program printed', async () => {
    const error = { code: 'engine', message: 'no compiler', hint: 'Install one' };
    const program = script('bad.mjs', `console.log('${JSON.stringify({ ok: false, error })}'); process.exitCode = 1;`);
    await expect(run(program)).rejects.toMatchObject(error);
  });

  test('that ends without a result has an error with the last lines', async () => {
    const program = script('dead.mjs', `console.error('out of luck'); process.exit(3);`);
    await expect(run(program)).rejects.toMatchObject({ code: 'trainer-failed', message: expect.stringMatching(/status 3: out of luck/) });
  });

  test('that ends with an uncaught error shows its message, not the end of its stack', async () => {
    const program = script('thrown.mjs', `await import('${join(folder, 'absent.mjs')}');`);
    const error = await run(program).catch((thrown: unknown) => String(thrown));
    expect(error).toMatch(/status 1: Error \[ERR_MODULE_NOT_FOUND\]: Cannot find module '.*absent\.mjs'/);
    expect(error).not.toMatch(/Node\.js v|^ *at /m);
  });

  test('can be canceled', async () => {
    const program = script('slow.mjs', 'setInterval(() => {}, 1000)');
    const controller = new AbortController();
    const waiting = run(program, { signal: controller.signal });
    setTimeout(() => controller.abort(), 200);
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
  });

  test('without a usable Node is an error', async () => {
    await expect(run('x', { node: { command: join(folder, 'none'), env: {} } })).rejects.toMatchObject({ code: 'node-unusable' });
  });
});
