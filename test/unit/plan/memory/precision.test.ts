/** Tests the estimate of bfloat16, quantized bases, 8-bit moments and offloaded state: how much each saves, in bytes per parameter. */
import { expect, test } from 'vitest';
import { byteSize, elementCount } from '../../../../trainer/graph/types.ts';
import { int8Variables } from '../../../../trainer/model/int8.ts';
import { causalModel } from '../../../../trainer/model/load-model.ts';
import { nf4Variables } from '../../../../trainer/model/nf4.ts';
import { quantizable } from '../../../../trainer/model/weight-storage.ts';
import { headersOf } from '../../../../trainer/plan/config-headers.ts';
import { estimateRecipe, type MemoryEstimate } from '../../../../trainer/plan/memory/predict.ts';
import { parseRecipe } from '../../../../trainer/protocol/recipe/parse-recipe.ts';
import { llama3Of8b } from '../../../support/models/llama-sizes.ts';

const model = causalModel(llama3Of8b);
const headers = headersOf(llama3Of8b);

function estimate(text: string, recompute = 'cheap', device: 'cpu' | 'gpu' = 'cpu'): MemoryEstimate {
  const { recipe } = parseRecipe(
    `model: base\ndata: {train: [train.jsonl]}\nmax_length: 64\nper_device_train_batch_size: 1\nrecompute: ${recompute}\n${text}`,
  );
  if (!recipe) throw new Error('not a recipe');
  return estimateRecipe({ recipe, headers, device });
}

const sum = (sizes: readonly number[]): number => sizes.reduce((a, b) => a + b, 0);
const vectors = sum(model.parameters.filter(({ shape }) => shape.length === 1).map(({ shape }) => elementCount(shape)));

test('bfloat16 takes two bytes for each number of a matrix, and holds a float32 master for each trained one', () => {
  const [single, half] = [estimate('method: spsft\nr: 8\n'), estimate('method: spsft\nr: 8\ndtype: bfloat16\n')];
  expect(half.weightsBytes).toBe(2 * (single.parameters - vectors) + 4 * vectors);
  expect(half.trainedBytes - single.trainedBytes).toBe(4 * half.trainable);
  expect(half.optimizerBytes).toBe(single.optimizerBytes);
  expect(half.activationBytes).toBeLessThan(single.activationBytes);
});

test.each(['int8', 'nf4'] as const)('%s: the linear layers of the blocks take what their codes and scales do', quantize => {
  const names = new Set(quantizable(model));
  const variables = { int8: int8Variables, nf4: nf4Variables }[quantize];
  const expected = sum(
    model.parameters.map(({ name, shape }) =>
      names.has(name) ? sum(Object.values(variables(name, shape)).map(byteSize)) : 4 * elementCount(shape),
    ),
  );
  expect(estimate(`method: lora\nr: 8\nquantize: ${quantize}\n`).weightsBytes).toBe(expected);
});

test('no level of recomputation keeps unpacked weights', () => {
  const largest = Math.max(
    ...model.parameters.filter(({ name }) => quantizable(model).includes(name)).map(({ shape }) => elementCount(shape)),
  );
  for (const level of ['none', 'cheap', 'block']) {
    const [plain, packed] = [estimate('method: lora\nr: 8\n', level), estimate('method: lora\nr: 8\nquantize: nf4\n', level)];
    expect(packed.activationBytes - plain.activationBytes).toBeLessThan(3 * 4 * largest);
  }
});

test('8-bit moments take about two bytes a trained number', () => {
  const { optimizerBytes, trainable } = estimate('method: lora\nr: 16\noptim: adamw_8bit\n');
  expect(optimizerBytes / trainable).toBeCloseTo(2 + 8 / 256, 3);
});

test('offloaded state and masters are in no total, but for the largest group, which comes back from disk for its update', () => {
  const text = 'method: full\ndtype: bfloat16\n';
  const [here, disk] = [estimate(text), estimate(`${text}optimizer_offload: disk\n`)];
  const kept = ({ optimizerBytes, trainedBytes }: MemoryEstimate): number => optimizerBytes + trainedBytes;
  const largest = Math.max(...model.parameters.map(({ shape }) => elementCount(shape)));
  expect(here.offloadedBytes).toBe(0);
  expect(disk.offloadedBytes).toBe(12 * (here.trainable - vectors));
  expect(kept(disk) + disk.offloadedBytes).toBe(kept(here));
  expect(disk.activationBytes - here.activationBytes).toBe(12 * largest);
  const host = `${text}optimizer_offload: host\n`;
  expect(estimate(host)).toEqual(here);
  expect(estimate(host, 'cheap', 'gpu')).toMatchObject({ offloadedBytes: disk.offloadedBytes, activationBytes: here.activationBytes });
});

test.each([
  'method: lora\nr: 16\n',
  'method: spsft\ntrains: rows\nr: 128\n',
  'method: spsft\nr: 128\ntrains: columns\n',
  'method: spsft\nr: 128\nquantize: nf4\n',
])('of weights in host memory, at most those of two blocks are on the device: %j', method => {
  const text = `${method}engine: pjrt\ndtype: bfloat16\n`;
  const [here, there] = [estimate(text, 'block', 'gpu'), estimate(`${text}base_offload: host\n`, 'block', 'gpu')];
  expect(here.offloadedBytes).toBe(0);
  expect(there.weightsBytes + there.offloadedBytes).toBe(here.weightsBytes);
  expect(there.trainedBytes).toBe(here.trainedBytes);
  const matrices = model.modules.filter(({ kind, layer }) => kind === 'linear' && layer >= 0);
  const numbers = sum(matrices.map(({ weight }) => elementCount(weight.shape)));
  if (!method.includes('nf4')) expect(there.offloadedBytes).toBe(2 * numbers);
  expect(there.activationBytes).toBeGreaterThan(here.activationBytes);
  expect(there.activationBytes - here.activationBytes).toBeLessThanOrEqual((2 * there.offloadedBytes) / model.blocks);
  expect(there.totalBytes).toBeLessThan(here.totalBytes);
});
