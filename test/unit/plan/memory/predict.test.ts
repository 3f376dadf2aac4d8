/** Tests the estimate: parameter counts of the paper, and laws of the parts. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { deviceCard } from '../../../../trainer/catalog/device-card.ts';
import { sumForms } from '../../../../trainer/graph/sum-forms.ts';
import { ModelConfigError } from '../../../../trainer/model/model-spec.ts';
import { lastOf, required } from '../../../../trainer/narrow.ts';
import { headersOf } from '../../../../trainer/plan/config-headers.ts';
import { type EstimateParams, estimateRecipe, priceRun, type RecipeEstimate } from '../../../../trainer/plan/memory/predict.ts';
import { planRun } from '../../../../trainer/plan/run-plan.ts';
import type { Recipe } from '../../../../trainer/protocol/recipe/recipe-schema.ts';
import type { BatchShape } from '../../../../trainer/train/task.ts';
import { GOLDEN, readGoldenJson, readRecord } from '../../../support/files/read-json.ts';
import { eightBlocks, llama2Of7b, llama3Of8b } from '../../../support/models/llama-sizes.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

const recipeFrom = (text: string): Recipe => recipeIn(`model: base\ndata: {train: [train.jsonl]}\n${text}`);

const estimate = (config: Readonly<Record<string, unknown>>, text: string, more: Partial<EstimateParams> = {}): RecipeEstimate =>
  estimateRecipe({ recipe: recipeFrom(text), headers: headersOf(config), ...more });

const short = 'max_length: 8\nper_device_train_batch_size: 1\nrecompute: block\n';
const millions = (count: number): string => (count / 1e6).toFixed(1);

describe('trained parameters of the paper, in millions', () => {
  const frozen = 'freeze: [attention]\n';
  test.each([
    { model: 'Llama-2-7B', config: llama2Of7b, text: 'trains: rows\nr: 32', expected: '36.4' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: 'trains: rows\nr: 64', expected: '72.9' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: 'trains: rows\nr: 128', expected: '145.8' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: `trains: rows\n${frozen}r: 32`, expected: '19.7' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: `trains: rows\n${frozen}r: 64`, expected: '39.3' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: `trains: rows\n${frozen}r: 128`, expected: '78.6' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: 'method: lora\nr: 64', expected: '159.9' },
    { model: 'Llama-2-7B', config: llama2Of7b, text: `method: lora\n${frozen}r: 64`, expected: '92.8' },
    { model: 'Llama-3-8B', config: llama3Of8b, text: 'trains: rows\nr: 128', expected: '159.4' },
    { model: 'Llama-3-8B', config: llama3Of8b, text: `trains: rows\n${frozen}r: 128`, expected: '92.3' },
    { model: 'Llama-3-8B', config: llama3Of8b, text: 'method: lora\nr: 64', expected: '167.8' },
    { model: 'Llama-3-8B', config: llama3Of8b, text: `method: lora\n${frozen}r: 64`, expected: '113.2' },
  ])('$model, $text: $expected', ({ config, text, expected }) => {
    expect(millions(estimate(config, `${short}${text}\n`).trainable)).toBe(expected);
  });
});

describe('images', () => {
  const json = (name: string) => readRecord(join(GOLDEN, 'qwen3_vl', name));
  const config = json('config.json');
  const processor = { ...json('preprocessor_config.json'), size: { shortest_edge: 256, longest_edge: 2 ** 24 } };
  const headers = { ...headersOf(config), processor };
  const seen = (maxPixels: number) =>
    estimateRecipe({
      recipe: recipeIn(`model: base\n${short}r: 2\n`, { overrides: ['data.train=train.jsonl', `data.image_max_pixels=${maxPixels}`] }),
      headers,
      seesImages: true,
    });

  test('bring vectors into the batch, and an encoder that is gone before training', () => {
    const plain = estimate(config, `${short}r: 2\n`, { headers });
    expect(plain.encoderBytes).toBeUndefined();
    const found = seen(1024);
    expect(found.activationBytes).toBeGreaterThan(plain.activationBytes);
    expect(found.weightsBytes).toBe(plain.weightsBytes);
    expect(found.runBytes).toBe(Math.max(found.totalBytes, found.encoderBytes ?? 0));
  });

  test('take more memory before training if they are larger', () => {
    const [small, large] = [seen(1024), seen(262_144)];
    expect(large.totalBytes).toBe(small.totalBytes);
    // The two hidden layers of the perceptron of 16 384 patches.
    expect(required(large.encoderBytes, 'large') - required(small.encoderBytes, 'small')).toBeGreaterThan(2 * 4 * 40 * 15_000);
    expect(large.runBytes).toBe(large.encoderBytes);
  });
});

describe('a teacher', () => {
  const text = `${short}r: 2\ntask: distillation\ndistillation: {teacher: t, top_k: 8}\n`;

  test('takes its own memory before the run, which counts if it is more', () => {
    const plain = estimate(eightBlocks, text);
    expect(plain.teacherBytes).toBeUndefined();
    const same = estimate(eightBlocks, text, { teacherConfig: eightBlocks });
    expect(same).toMatchObject({ totalBytes: plain.totalBytes, runBytes: plain.totalBytes });
    expect(same.teacherBytes).toBeLessThan(plain.totalBytes);
    const large = estimate(eightBlocks, text, { teacherConfig: llama3Of8b });
    expect(large).toMatchObject({ totalBytes: plain.totalBytes, runBytes: large.teacherBytes });
    expect(large.teacherBytes).toBeGreaterThan(4 * 8e9);
    const four = estimate(eightBlocks, `${text}processes: 4\nengine: tensorflow\n`, { teacherConfig: llama3Of8b });
    expect(four.runBytes).toBe(4 * required(four.teacherBytes, 'the bytes of the teacher'));
    const narrow = estimate(eightBlocks, `${text}dtype: bfloat16\n`, { teacherConfig: llama3Of8b });
    expect(narrow.teacherBytes).toBeLessThan(0.6 * required(large.teacherBytes, 'the bytes of the teacher'));
  });

  test('adds its predictions and the logits of a chunk to the step', () => {
    const of = (more: string) =>
      estimate({ ...eightBlocks, vocab_size: 100_000 }, `${short}max_length: 64\nr: 2\n${more}`.replace('max_length: 8\n', ''))
        .activationBytes;
    const plain = of('');
    const few = of('task: distillation\ndistillation: {teacher: t, top_k: 8}\n');
    const many = of('task: distillation\ndistillation: {teacher: t, top_k: 64}\n');
    expect(few).toBeGreaterThan(plain);
    expect(many).toBeGreaterThan(few);
  });
});

describe('the parts', () => {
  const toy = (text: string, more?: Partial<EstimateParams>) => estimate(eightBlocks, `${short}${text}`, more);

  test('are those of each process, which has its share of the memory', () => {
    const auto = 'r: 2\nrecompute: auto\nmax_length: 64\nper_device_train_batch_size: 8\n';
    const levels = estimate(eightBlocks, auto, { allLevels: true }).levels.map(({ totalBytes }) => totalBytes);
    const [most = 0, second = 0] = levels.sort((a, b) => b - a);
    // Enough for one process at any level, but not for four at the level that takes most.
    const usableBytes = 2 * (most + second);
    const [one, four] = [1, 4].map(count => estimate(eightBlocks, `${auto}engine: tensorflow\nprocesses: ${count}\n`, { usableBytes }));
    expect(one).toMatchObject({ processes: 1, recompute: 'none', runBytes: one?.totalBytes });
    expect(four?.recompute).not.toBe('none');
    expect(four?.runBytes).toBe(4 * (four?.totalBytes ?? 0));
    expect(four?.runBytes).toBeLessThanOrEqual(usableBytes);
  });

  test('are those of each device: devices of the processor share its memory, and GPUs have their own', () => {
    const of = (devices: number, device: 'cpu' | 'gpu') => toy(`r: 2\nengine: pjrt\ndevices: ${devices}\n`, { device });
    const [one, four, gpus] = [of(1, 'cpu'), of(4, 'cpu'), of(4, 'gpu')];
    expect([four.devices, four.weightsBytes, four.optimizerBytes]).toEqual([4, one.weightsBytes, one.optimizerBytes]);
    expect(four.runBytes).toBe(4 * four.totalBytes);
    expect(gpus.runBytes).toBe(gpus.totalBytes);
    // A step has room for all gradients and their sums, and devices do not exchange with fewer bits.
    const sum = four.activationBytes - one.activationBytes;
    expect(sum).toBeGreaterThan(4 * one.trainable);
    expect(sum).toBeLessThanOrEqual(16 * one.trainable);
    expect(toy('r: 2\nengine: pjrt\ndevices: 4\ngradient_exchange_dtype: int8\n').gradientBytes).toBe(0);
  });

  test('are those of one card where each process or device has its own, with the exchange of gradients among the activations', () => {
    const onCards = (more: string) => toy(`r: 2\nengine: pjrt\n${more}`, { engine: 'pjrt', device: 'gpu', isPerDevice: true });
    const [one, devices, processes] = [onCards(''), onCards('devices: 4\n'), onCards('processes: 4\n')];
    expect(one.exchangeBytes).toBeUndefined();
    for (const found of [one, devices, processes]) expect(found.runBytes).toBe(found.totalBytes);
    // Gradients and their sums; with an exchange on the host, only gradients, after the activations are freed.
    expect(devices.exchangeBytes).toBe(2 * 4 * one.trainable);
    // Minus what is omitted for tables of results: gradients are summed after the kernels that compute them.
    expect(devices.totalBytes - one.totalBytes).toBeGreaterThan(1.5 * 4 * one.trainable);
    expect(processes.exchangeBytes).toBe(4 * one.trainable);
    // What fits on one card is not divided by the number of cards.
    const usableBytes = devices.totalBytes;
    const auto = estimate(eightBlocks, 'max_length: 8\nper_device_train_batch_size: 1\nr: 2\nengine: pjrt\nrecompute: auto\ndevices: 4\n', {
      engine: 'pjrt',
      device: 'gpu',
      isPerDevice: true,
      usableBytes,
    });
    expect(auto.totalBytes).toBeLessThanOrEqual(usableBytes);
  });

  test('name the GPU whose memory they are, unless a card is named', () => {
    const gpu = deviceCard({ name: 'NVIDIA L4' });
    const on = (more: object) => toy('r: 2\nengine: pjrt\n', { engine: 'pjrt', device: 'gpu', gpu, ...more });
    expect(on({}).gpu).toEqual(gpu);
    expect(on({ card: 'h100' }).gpu).toBeUndefined();
  });

  test('include the buffers of a narrow exchange, and what it keeps', () => {
    const of = (type: string) => toy(`r: 2\nengine: tensorflow\nprocesses: 2\ngradient_exchange_dtype: ${type}\n`);
    const [wide, bfloat16, int8] = [of('float32'), of('bfloat16'), of('int8')];
    // The largest group of two processes: each sends and receives all of its elements.
    const largest = (bfloat16.activationBytes - wide.activationBytes) / 4;
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThanOrEqual(wide.trainable);
    expect(int8.activationBytes - wide.activationBytes).toBe(2 * 2 * sumForms.int8.bytes(largest / 2));
    expect([bfloat16.gradientBytes, int8.gradientBytes]).toEqual([0, 4 * wide.trainable]);
    // However large a model is, its gradients are exchanged in parts.
    const full = (type: string) =>
      estimate(llama3Of8b, `${short}method: full\nengine: tensorflow\nprocesses: 2\ngradient_exchange_dtype: ${type}\n`).activationBytes;
    expect(full('bfloat16') - full('float32')).toBe(2 ** 26);
  });

  test('add up to the total', () => {
    const found = toy('r: 2\ngradient_accumulation_steps: 2\n');
    const parts = [found.weightsBytes, found.trainedBytes, found.gradientBytes, found.optimizerBytes, found.activationBytes];
    expect(found.totalBytes).toBe(parts.reduce((sum, part) => sum + part, found.engineOverheadBytes));
    expect(found.trainableShare).toBe(found.trainable / found.parameters);
    expect(found.weightsBytes).toBe(4 * found.parameters);
  });

  test('two numbers a trained parameter for adamw, one for sgd with momentum, none without', () => {
    const { trainable } = toy('r: 2\n');
    expect(toy('r: 2\n').optimizerBytes).toBe(8 * trainable);
    expect(toy('r: 2\noptim: sgd\nmomentum: 0.9\n').optimizerBytes).toBe(4 * trainable);
    expect(toy('r: 2\noptim: sgd\n').optimizerBytes).toBe(0);
  });

  test('gradients are held only over several batches', () => {
    const { trainable } = toy('r: 2\n');
    expect(toy('r: 2\n').gradientBytes).toBe(0);
    expect(toy('r: 2\ngradient_accumulation_steps: 2\n').gradientBytes).toBe(4 * trainable);
  });

  test('lora adds its factors, spsft its row numbers, full nothing', () => {
    const lora = toy('method: lora\nr: 2\n');
    expect(lora.trainedBytes).toBe(4 * lora.trainable);
    expect(toy('r: 2\n').trainedBytes).toBe(4 * 2 * 7 * 8);
    expect(toy('method: full\n').trainedBytes).toBe(0);
  });

  test('levels fall in memory and rise in work', () => {
    const { levels } = toy('r: 2\n', { allLevels: true });
    expect(levels.map(({ recompute }) => recompute)).toEqual(['none', 'cheap', 'block', 'sqrt']);
    const bytes = levels.map(level => level.activationBytes);
    const flops = levels.map(level => level.flops);
    expect(bytes).toEqual([...bytes].sort((a, b) => b - a));
    expect(flops).toEqual([...flops].sort((a, b) => a - b));
  });

  test('auto is the first level that fits, and the last where none does', () => {
    const auto = (usableBytes?: number) => estimate(eightBlocks, 'max_length: 32\nr: 2\n', { usableBytes });
    const { levels, recompute } = auto();
    expect(recompute).toBe('none');
    for (const level of levels) {
      const first = levels.find(({ totalBytes }) => totalBytes <= level.totalBytes);
      expect(auto(level.totalBytes).recompute).toBe(first?.recompute);
    }
    expect(auto(1).recompute).toBe('sqrt');
  });

  test('the largest bucket decides', () => {
    const small = { batch: 2, tokens: 8, targets: 4 };
    const large = { batch: 2, tokens: 32, targets: 62 };
    const plan = planRun({
      recipe: recipeFrom('max_length: 32\nr: 2\n'),
      headers: headersOf(eightBlocks),
      on: { engine: 'tensorflow', device: 'cpu' },
    });
    const price = (...shapes: BatchShape[]) => priceRun({ ...plan, trainShapes: shapes, evalShapes: shapes });
    const both = price(small, large);
    expect(both.buckets.map(({ shape }) => shape)).toEqual([small, large]);
    expect(both.activationBytes).toBe(price(large).activationBytes);
    expect(both.activationBytes).toBeGreaterThan(price(small).activationBytes);
  });

  test('the other methods are listed with it at the nearest number of trained parameters', () => {
    const found = toy('r: 4\n', { compare: true });
    const others = new Map(found.alternatives.map(other => [other.method, other]));
    // This model has no biases, so bitfit has nothing to train.
    expect([...others.keys()]).toEqual(['lora', 'dora', 'rosa', 'shira', 'vera', 'spsft+lora', 'head', 'full']);
    for (const method of ['lora', 'dora', 'rosa', 'shira', 'spsft+lora'] as const)
      expect(Math.abs(Math.log2((others.get(method)?.trainable ?? 0) / found.trainable)), method).toBeLessThan(0.6);
    expect(others.get('full')?.trainable).toBe(found.parameters);
    const ofNorms = toy('trains: rows\ntarget_modules: [input_layernorm]\nr: 4\n', { compare: true });
    expect(ofNorms.alternatives.map(({ method }) => method)).toEqual(['head', 'full']);
  });
});

test('mismatched answers of kto take a forward pass alone', () => {
  const of = (task: string, more = '') =>
    estimate({ ...eightBlocks, hidden_size: 64, intermediate_size: 128 }, `task: ${task}\nr: 2\nmax_length: 64\nrecompute: none\n${more}`);
  const [pairs, answers] = [of('dpo'), of('kto')];
  const flops = ({ levels }: RecipeEstimate): number => levels[0]?.flops ?? Number.NaN;
  expect(flops(answers) / flops(pairs)).toBeGreaterThan(0.6);
  expect(flops(answers) / flops(pairs)).toBeLessThan(0.8);
  expect(answers.activationBytes).toBeLessThan(0.7 * pairs.activationBytes);
  // Each of the two passes unpacks a weight separately.
  expect(of('kto', 'quantize: nf4\n').activationBytes).toBeLessThan(of('dpo', 'quantize: nf4\n').activationBytes);
});

test("a convolutional network's activations grow with the images of the recipe, a head with its labels", () => {
  const config = readGoldenJson('resnet/config.json', z.looseObject({ hidden_sizes: z.array(z.number()) }));
  const of = (data: string) => {
    const recipe = recipeIn(`model: base\ntask: image_classification\nmethod: head\ndata: {train: [images], ${data}}\n`);
    return estimateRecipe({ recipe, headers: headersOf(config) });
  };
  const [small, large] = [of('image_size: 64'), of('image_size: 128')];
  expect(large.activationBytes / small.activationBytes).toBeGreaterThan(3);
  const ten = of(`image_size: 64, labels: [${[...Array(10).keys()].map(i => `l${i}`).join(', ')}]`);
  expect(ten.trainable / 10).toBe(lastOf(config.hidden_sizes) + 1);
});

test('tensors that disagree with config.json are all named', () => {
  const headers = headersOf(eightBlocks);
  const tensors = new Map(headers.tensors);
  tensors.delete('model.norm.weight');
  tensors.set('lm_head.weight', { shape: [3, 16] });
  const run = () => estimateRecipe({ recipe: recipeFrom(short), headers: { config: eightBlocks, tensors } });
  expect(run).toThrow(ModelConfigError);
  expect(run).toThrow(/model\.norm\.weight \[16\] is missing.*lm_head\.weight is \[3,16\]/s);
});
