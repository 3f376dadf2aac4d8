/** `rowtune reproduce --smoke` as a user runs it: a row of texts trains, is found finished by a second call, and its number is shown; what is missing is named. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveSettings } from '../../../trainer/settings.ts';
import { cli } from './run-cli.ts';

const { cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
const isPrepared = existsSync(path.join(cacheDir, 'demo', 'paper-smoke-2'));
let cwd = '';
beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), 'rowtune-reproduce-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

const resultOf = (stdout: string) =>
  JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { ok: boolean; rows: { id: string; ours: unknown; missing: string[] }[] };

test('what a table needs is listed, and what is missing makes it fail', async () => {
  const { status, stdout, stderr } = await cli(['reproduce', '--table', '7', '--only', 'cola-spsft', '--json'], { cwd });
  expect(status).toBe(1);
  expect(stderr).toContain('missing: the model microsoft/deberta-v3-base');
  expect(resultOf(stdout).rows[0]?.missing).toHaveLength(3);
  expect((await cli(['reproduce', '--table', '7', '--only', 'nothing'], { cwd })).status).toBe(2);
});

test.skipIf(!isPrepared)(
  `a smoke run${isPrepared ? '' : ' (skipped: its data is downloaded by the first `rowtune reproduce --table 8 --smoke`)'}`,
  { timeout: 180_000 },
  async () => {
    const args = ['reproduce', '--table', '7', '--smoke', '--only', 'cola-dense', '--json'];
    const first = await cli(args, { cwd });
    expect(first.stderr).toContain("GLUE's CoLA, judged by matthews");
    expect([first.status, resultOf(first.stdout).rows.map(({ id }) => id)]).toEqual([0, ['cola-dense']]);
    const again = await cli(args, { cwd });
    expect(again.stderr).toContain('finished (');
    expect(again.stderr).not.toContain('row 1 of');
    expect(resultOf(again.stdout).rows[0]?.ours).toEqual(resultOf(first.stdout).rows[0]?.ours);
  },
);
