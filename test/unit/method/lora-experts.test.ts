/** Tests LoRA on experts, each with its own factors: shapes, merging, and what is refused. */
import { expect, test } from 'vitest';
import { attachLora } from '../../../trainer/method/lora/attach.ts';
import { addedFactors, addFactors } from '../../../trainer/method/lora/merge.ts';
import type { PartsDescription, TrainedParts } from '../../../trainer/method/trained-parts.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { settingsOf } from '../../support/models/method-settings.ts';

const model = causalModel(readRecord(new URL('../../golden/mixtral/config.json', import.meta.url)));
const NAME = 'model.layers.0.block_sparse_moe.experts.w2';
const module = model.modules.find(({ name }) => name === NAME);
if (!module) throw new Error(`${NAME} is missing`);
const [EXPERTS, OUT, IN, RANK] = [4, 32, 24, 2];
const attach = (changes: Parameters<typeof settingsOf>[0]) =>
  attachLora(model, settingsOf({ rank: RANK, loraAlpha: 4, ...changes }), new Map());

const description: PartsDescription = {
  method: 'lora',
  modules: [NAME],
  rows: new Map(),
  columns: new Map(),
  elements: new Map(),
  lora: new Map([[NAME, { r: RANK, alpha: 4 }]]),
  whole: [],
};

test('factors of all experts one below the other, in the attachment and in an adapter', () => {
  const shapes = attach({ targetModules: [NAME] }).trainables.map(({ name, shape }) => ({ name, shape }));
  expect(shapes).toEqual([
    { name: `${NAME}.lora_A.weight`, shape: [EXPERTS * RANK, IN] },
    { name: `${NAME}.lora_B.weight`, shape: [EXPERTS * OUT, RANK] },
  ]);
  const problems: string[] = [];
  expect(addedFactors.expected(description, module, problems)).toEqual(shapes);
  expect(problems).toEqual([]);
});

test('merged, each expert has its own product', async () => {
  const a = Float32Array.from({ length: EXPERTS * RANK * IN }, (_, i) => Math.sin(i));
  const b = Float32Array.from({ length: EXPERTS * OUT * RANK }, (_, i) => Math.cos(i));
  const tensors = new Map([
    [`${NAME}.lora_A.weight`, { name: `${NAME}.lora_A.weight`, shape: [EXPERTS * RANK, IN], values: a }],
    [`${NAME}.lora_B.weight`, { name: `${NAME}.lora_B.weight`, shape: [EXPERTS * OUT, RANK], values: b }],
  ]);
  const adapter: TrainedParts = {
    description,
    tensors,
    readFloat32: async name => Float32Array.from(valueFor(tensors, name).values),
  };
  const merged = await addFactors(new Float32Array(EXPERTS * OUT * IN).fill(1), adapter, NAME, { r: RANK, alpha: 4 });
  const naive = Float32Array.from(merged, (_, i) => {
    const [row, column] = [Math.floor(i / IN), i % IN];
    const expert = Math.floor(row / OUT);
    const product = Array.from(
      { length: RANK },
      (_, k) => (b[row * RANK + k] as number) * (a[(expert * RANK + k) * IN + column] as number),
    );
    return 1 + 2 * product.reduce((sum, x) => sum + x, 0);
  });
  expect(Math.max(...merged.map((value, i) => Math.abs(value - (naive[i] as number))))).toBeLessThan(1e-5);
});

test('all-linear leaves experts alone, and dropout is refused', () => {
  const names = attach({ targetModules: ['all-linear'] }).trainables.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(0);
  expect(names.some(name => name.includes('experts'))).toBe(false);
  expect(() => attach({ targetModules: [NAME], loraDropout: 0.1 })).toThrow(
    /lora_dropout 0\.1 is not possible for experts .*set lora_dropout: 0/,
  );
});
