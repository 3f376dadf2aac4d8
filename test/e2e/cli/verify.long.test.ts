/** Tests `rowtune verify` on the reference folders of the Llama family, on every installed engine. */
import { existsSync, readdirSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { listEngines } from '../../../trainer/engine/install/engine-folder.ts';
import { resolveSettings } from '../../../trainer/settings.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { cli, cliJson, golden, withFolder } from './run-cli.ts';

/** The model types of the test's golden folders. */
const FAMILIES = new Set(['llama', 'qwen2', 'mistral']);
const folders = readdirSync(golden).filter(name => {
  const config = path.join(golden, name, 'config.json');
  if (!existsSync(config) || !existsSync(path.join(golden, name, 'golden.json'))) return false;
  return FAMILIES.has(String(readRecord(config).model_type));
});
const checksForm = z.array(z.looseObject({ name: z.string(), error: z.number(), tolerance: z.number(), ok: z.boolean() }));
const { cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
const engines = [
  { name: 'portable', here: true },
  { name: 'tensorflow', here: listEngines(cacheDir).length > 0 },
];

// One process for all folders, because most of the time goes into its start.
for (const { name, here } of engines)
  test.skipIf(!here)(`all of them on ${name}${here ? '' : ' (skipped: not installed; rowtune engine install)'}`, async () => {
    const all = folders.map(folder => path.join(golden, folder));
    const { status, value, stderr } = await cliJson(['verify', ...all, '--engine', name]);
    expect(Object.keys(value), stderr).toEqual(['ok', 'engine', 'checks']);
    const checks = checksForm.parse(value.checks);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    for (const folder of folders)
      expect(checks.filter(check => check.name.startsWith(`${path.join(golden, folder)}: `)).length, folder).toBeGreaterThan(3);
    for (const check of checks) expect(Object.keys(check)).toEqual(['name', 'error', 'tolerance', 'ok']);
    expect(value).toMatchObject({ ok: true });
    expect(status).toBe(0);
  });

test('checks of a single folder do not repeat its name', async () => {
  const { status, value } = await cliJson(['verify', path.join(golden, 'llama'), '--engine', 'portable']);
  expect(status).toBe(0);
  expect(checksForm.parse(value.checks)[0]?.name).toBe('logits');
});

test('a wrong number is found: status 1', () =>
  withFolder(async folder => {
    await cp(path.join(golden, 'llama'), folder, { recursive: true });
    const file = path.join(folder, 'golden.json');
    const reference = readRecord(file);
    await writeFile(file, JSON.stringify({ ...reference, loss: Number(reference.loss) + 0.01 }));
    const { status, stdout } = await cli(['verify', folder, '--engine', 'portable']);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^loss .*FAILED$/m);
    expect(stdout).toContain('1 of ');
  }));

test('a folder without reference numbers', () =>
  withFolder(async folder => {
    const { status, value } = await cliJson(['verify', folder, '--engine', 'portable']);
    expect(status).toBe(1);
    expect(value).toMatchObject({ ok: false, error: { code: 'reference' } });
  }));
