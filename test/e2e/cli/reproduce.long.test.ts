/**
 * Tests `rowtune reproduce --smoke` as a user runs it: rows on texts, images and a language model train, and a second call finds them
 * finished; missing parts are named.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolveSettings } from '../../../trainer/settings.ts';
import { parseJson } from '../../support/files/read-json.ts';
import { cli } from './run-cli.ts';

const { cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
const isPrepared = existsSync(path.join(cacheDir, 'demo', 'paper-smoke-2'));
let cwd = '';
beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), 'rowtune-reproduce-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

const resultForm = z.object({
  ok: z.boolean(),
  rows: z.array(z.object({ id: z.string(), ours: z.unknown(), missing: z.array(z.string()) })),
});
const resultOf = (stdout: string) => parseJson(stdout.trim().split('\n').at(-1) ?? '', resultForm);

test('lists the missing models and data of a table, and fails', async () => {
  const { status, stdout, stderr } = await cli(['reproduce', '--table', '7', '--only', 'cola-spsft', '--json'], { cwd });
  expect(status).toBe(1);
  expect(stderr).toContain('missing: the model microsoft/deberta-v3-base');
  expect(resultOf(stdout).rows[0]?.missing).toHaveLength(3);
  expect((await cli(['reproduce', '--table', '7', '--only', 'nothing'], { cwd })).status).toBe(2);
});

/** One row of each kind with its expected output; `rowtune reproduce --table N --smoke` runs all rows. */
const rows = [
  { table: 4, id: 'llama2-fa-spsft', says: 'answering winogrande', measures: ['mean', 'trained'] },
  { table: 6, id: 'resnext101-spsft-dependencies', says: 'dependencies: a share of 0.025 of the rows', measures: ['quality', 'trained'] },
  { table: 7, id: 'cola-dense', says: "GLUE's CoLA, judged by matthews", measures: ['quality', 'trained'] },
] as const;

describe.skipIf(!isPrepared)(
  `a smoke run${isPrepared ? '' : ' (skipped: its data is downloaded by `npm test` and by the first `rowtune reproduce --table 8 --smoke`)'}`,
  { timeout: 180_000 },
  () => {
    test.each(rows)('$id', async ({ table, id, says, measures }) => {
      const args = ['reproduce', '--table', `${table}`, '--smoke', '--only', id, '--json'];
      const first = await cli(args, { cwd });
      expect(first.stderr).toContain(says);
      const [row] = resultOf(first.stdout).rows;
      expect([first.status, row?.id]).toEqual([0, id]);
      expect(row?.ours).toMatchObject(Object.fromEntries(measures.map(name => [name, expect.any(Number)])));
      const again = await cli(args, { cwd });
      expect(again.stderr).toContain('finished (');
      expect(again.stderr).not.toContain('row 1 of');
      expect(resultOf(again.stdout).rows[0]?.ours).toEqual(row?.ours);
    });
  },
);
