/** Tests factors of grouped convolutions in PEFT's form: conversion both ways, and what is refused. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readAdapter } from '../../../../trainer/adapter/read-adapter.ts';
import { addProduct } from '../../../../trainer/method/lora/add-product.ts';
import { acrossGroups, ownFilters, ownMixture } from '../../../../trainer/method/lora/grouped-factors.ts';
import { required } from '../../../../trainer/narrow.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { randomNumbers } from '../../../support/numbers/operation-case.ts';

const golden = join(import.meta.dirname, '..', '..', '..', 'golden', 'peft', 'resnext_groups');
const [OUT, WIDTH, R, GROUPS] = [6, 5, 3, 2] as const;

test.each([
  {
    what: 'factors that all groups use',
    used: [
      [0, 1, 2],
      [0, 1, 2],
    ],
  },
  { what: 'rows, each of one group', used: [[0, 2], [1]] },
  { what: 'a group without any', used: [[0, 1, 2], []] },
])('there and back it is the same product: $what', ({ used }) => {
  const a = Float32Array.from(randomNumbers(R * WIDTH, -1, 1, 1));
  const b = Float32Array.from(randomNumbers(OUT * R, -1, 1, 2), (value, i) =>
    used[Math.floor(i / R / (OUT / GROUPS))]?.includes(i % R) ? value : 0,
  );
  const product = (left: Float32Array, right: Float32Array, r: number) =>
    addProduct(new Float32Array(OUT * WIDTH), left, right, { r, alpha: r });
  const theirs = acrossGroups({ a, b }, R, used);
  const rank = theirs.a.length / (WIDTH * GROUPS);
  expect(theirs.b.length).toBe((OUT * rank) / GROUPS);
  const back = product(required(ownFilters(theirs.a, rank, GROUPS), 'filters'), ownMixture(theirs.b, rank, GROUPS), rank);
  expect(back).toEqual(product(a, b, R));
});

test('filters that see another group belong to no weight', () => {
  const a = acrossGroups({ a: new Float32Array(R * WIDTH).fill(1), b: new Float32Array(OUT * R).fill(1) }, R, [[0, 1, 2], [0]]).a;
  expect(ownFilters(a, 6, GROUPS)).toBeDefined();
  a[WIDTH] = 1e-6;
  expect(ownFilters(a, 6, GROUPS)).toBeUndefined();
});

/** PEFT's folder with every value 1, so that filters cover all channels; the values start after the header. */
async function withFullFilters(): Promise<string> {
  const dir = join(await temporaryFolder(), 'adapter');
  await cp(golden, dir, { recursive: true });
  const file = join(dir, 'adapter_model.safetensors');
  const bytes = await readFile(file);
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  for (let at = begin; at + 4 <= bytes.length; at += 4) bytes.writeFloatLE(1, at);
  await writeFile(file, bytes);
  return dir;
}

test('PEFT factors that mix groups are refused by name', async () => {
  await expect(readAdapter(await withFullFilters())).rejects.toThrow(
    /layer1\.0\.conv2\.lora_A\.weight reads channels of all 4 groups, which no weight of a grouped convolution expresses/,
  );
  const dora = join(await temporaryFolder(), 'adapter');
  await cp(golden, dora, { recursive: true });
  const config = readRecord(join(dora, 'adapter_config.json'));
  await writeFile(join(dora, 'adapter_config.json'), JSON.stringify({ ...config, use_dora: true }));
  await expect(readAdapter(dora)).rejects.toThrow(/has DoRA of the grouped convolution layer1\.0\.conv2/);
});
