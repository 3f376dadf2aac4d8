/** Tests the planner: its proposals fit, hold the samples of a step, and are sorted by cost. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { goldenConfig } from '../../../../bench/memory/memory-models.ts';
import { deviceCard } from '../../../../trainer/catalog/device-card.ts';
import { CARD_ENGINE } from '../../../../trainer/catalog/engines.ts';
import type { KnownPrograms } from '../../../../trainer/graph/known-programs.ts';
import type { Signature } from '../../../../trainer/graph/program.ts';
import { onHostText } from '../../../../trainer/lint/problems/fact-problems.ts';
import { HOSTED_FROM, hostedBytes, hostedUntrained } from '../../../../trainer/model/hosted-weights.ts';
import { causalModel } from '../../../../trainer/model/load-model.ts';
import { FLOAT32_STORAGE } from '../../../../trainer/model/weight-storage.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';
import { headersOf } from '../../../../trainer/plan/config-headers.ts';
import { planMark } from '../../../../trainer/plan/memory/counted-passes.ts';
import { computesOn, estimateRecipe } from '../../../../trainer/plan/memory/predict.ts';
import { describeNothingFits, type PlanOption, planMemory } from '../../../../trainer/plan/memory/propose-settings.ts';
import { planRun } from '../../../../trainer/plan/run-plan.ts';
import { eightBlocks } from '../../../support/models/llama-sizes.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

const text = 'model: base\ndata: {train: [train.jsonl]}\nmax_length: 64\nper_device_train_batch_size: 8\nr: 8\n';
const tinyBert = goldenConfig(join(import.meta.dirname, '../../../..'), 'bert');
const config = { ...eightBlocks, hidden_size: 64, intermediate_size: 128 };
const headers = headersOf(config);

const recipeWith = (overrides: readonly string[] = []) => recipeIn(text, { overrides });

const plan = (usableBytes: number) => planMemory({ recipe: recipeWith(), headers, usableBytes });
/** A vocabulary so large that the logits of an evaluation exceed everything else. */
const wordy = { ...config, vocab_size: 4000 };
const wordyHeaders = headersOf(wordy);

test('several processes share the memory', () => {
  const all = plan(1e12).options;
  const usableBytes = all[1]?.totalBytes ?? 0;
  const shared = planMemory({ recipe: recipeWith(['processes=4']), headers, usableBytes: 4 * usableBytes });
  const alone = planMemory({ recipe: recipeWith(), headers, usableBytes });
  expect(shared.usableBytes).toBe(alone.usableBytes);
  expect(shared.options.length).toBeGreaterThan(0);
  expect(shared.options.length).toBeLessThan(all.length);
  for (const { totalBytes } of shared.options) expect(totalBytes).toBeLessThanOrEqual(shared.usableBytes);
});

describe('the proposals', () => {
  const { options } = plan(1e12);

  test('hold the samples of a step, and cost more the less they take', () => {
    expect(options.length).toBeGreaterThan(2);
    for (const { batch, accumulation } of options) expect(batch * accumulation).toBe(8);
    const costs = options.map(({ cost }) => cost);
    const bytes = options.map(({ totalBytes }) => totalBytes);
    expect(costs).toEqual([...costs].sort((a, b) => a - b));
    expect(bytes).toEqual([...bytes].sort((a, b) => b - a));
    expect(costs[0]).toBeGreaterThanOrEqual(1);
  });

  test('are priced as the estimate prices the recipe with their overrides', () => {
    for (const { overrides, totalBytes, recompute } of options) {
      const found = estimateRecipe({ recipe: recipeWith([...overrides, `recompute=${recompute}`]), headers });
      expect(found.totalBytes).toBe(totalBytes);
    }
  });

  test('all fit into what there is', () => {
    const most = options[1]?.totalBytes ?? 0;
    expect(plan(most).options).toEqual(options.slice(1).map(option => expect.objectContaining({ overrides: option.overrides })));
  });
});

test('the rank falls only where nothing else fits', () => {
  const least = Math.min(...plan(1e12).options.map(({ totalBytes }) => totalBytes));
  expect(plan(least).options.every(({ r }) => r === undefined)).toBe(true);
  const lower = plan(least - 1).options;
  expect(lower.length).toBeGreaterThan(0);
  expect(lower.every(({ r = 8, overrides }) => r < 8 && overrides.includes(`r=${r}`))).toBe(true);
});

test('where nothing fits, the least is named and what to change', () => {
  const found = plan(1e6);
  expect(found.options).toEqual([]);
  expect(describeNothingFits(found, recipeWith())).toMatch(
    /nothing fits into 1 MB: the least is \d+ MB, with a batch of 1 .*smaller model/s,
  );
});

test.each([
  ['by default', []],
  ['as it is written', ['per_device_eval_batch_size=8']],
])('an evaluation batch that is as large as the train batch %s shrinks with it', (_, written) => {
  const { least } = planMemory({ recipe: recipeWith(written), headers: wordyHeaders, usableBytes: 1e12 });
  expect(least.batch).toBe(1);
  const chosen = recipeWith([...written, ...least.overrides, `recompute=${least.recompute}`]);
  expect(chosen.per_device_eval_batch_size).toBe(1);
  expect(estimateRecipe({ recipe: chosen, headers: wordyHeaders }).totalBytes).toBe(least.totalBytes);
});

test('another size of evaluation batch stays as it is', () => {
  const { least } = planMemory({ recipe: recipeWith(['per_device_eval_batch_size=2']), headers, usableBytes: 1e12 });
  expect(least.overrides.filter(override => override.startsWith('per_device_eval_batch_size'))).toEqual([]);
});

test.each([
  [4096, 4],
  [4095, 65_535],
])('of %i samples times %i steps, only what a recipe may say is proposed', (batch, steps) => {
  const written = [`per_device_train_batch_size=${batch}`, `gradient_accumulation_steps=${steps}`];
  const { options } = planMemory({ recipe: recipeWith(written), headers, usableBytes: Number.POSITIVE_INFINITY });
  expect(options.length).toBeGreaterThan(0);
  for (const { overrides } of options) expect(() => recipeWith([...written, ...overrides])).not.toThrow();
});

describe('a batch whose samples are compared with each other', () => {
  const bert = headersOf({ ...tinyBert, num_hidden_layers: 6 });
  const written = ['task=embedding', 'per_device_train_batch_size=64'];
  const recipe = (...overrides: string[]) => recipeWith([...written, ...overrides]);
  const { options } = planMemory({ recipe: recipe(), headers: bert, usableBytes: 1e12 });

  test('stays as it is, and passes in mini-batches', () => {
    expect(new Set(options.map(({ batch, accumulation }) => `${batch} × ${accumulation}`))).toEqual(new Set(['64 × 1']));
    const proposed = options.map(({ overrides }) => overrides.find(override => override.startsWith('embedding.mini_batch_size')));
    expect(proposed).toContain(undefined);
    expect(proposed).toContain('embedding.mini_batch_size=1');
    for (const { overrides, totalBytes, recompute } of options)
      expect(estimateRecipe({ recipe: recipe(...overrides, `recompute=${recompute}`), headers: bert }).totalBytes).toBe(totalBytes);
  });

  test('takes about the activations of a mini-batch, for twice the forward passes', () => {
    const of = (...overrides: string[]) => estimateRecipe({ recipe: recipe('recompute=none', ...overrides), headers: bert });
    const [whole, cached, small] = [of(), of('embedding.mini_batch_size=4'), of('per_device_train_batch_size=4')];
    expect(cached.activationBytes).toBeLessThan(whole.activationBytes / 8);
    expect(cached.activationBytes).toBeLessThan(1.1 * small.activationBytes);
    expect(cached.gradientBytes).toBe(4 * cached.trainable);
    const [flops, cachedFlops] = [elementAt(whole.levels, 0).flops, elementAt(cached.levels, 0).flops];
    expect(cachedFlops / flops).toBeGreaterThan(1.2);
    expect(cachedFlops / flops).toBeLessThan(1.7);
  });
});

describe('a teacher', () => {
  const written = ['task=distillation', 'distillation={teacher: t, top_k: 8}', 'per_device_eval_batch_size=8'];
  const teacherConfig = { ...config, hidden_size: 256, intermediate_size: 4096 };
  const planFor = (usableBytes: number) => planMemory({ recipe: recipeWith(written), headers, teacherConfig, usableBytes });
  const roomy = planFor(1e12);

  test('keeps the batch of the recipe where its pass fits', () => {
    for (const { batch, overrides, teacherBytes } of roomy.options) {
      const recipe = recipeWith([...written, ...overrides]);
      expect(recipe.per_device_eval_batch_size).toBe(batch);
      expect(estimateRecipe({ recipe, headers, teacherConfig }).teacherBytes).toBe(teacherBytes);
    }
  });

  test('gets a smaller batch where its pass does not fit', () => {
    const most = Math.max(...roomy.options.map(({ teacherBytes = 0 }) => teacherBytes)) - 1;
    const { options } = planFor(most);
    expect(options.length).toBeGreaterThan(0);
    for (const { overrides, totalBytes, teacherBytes, recompute } of options) {
      const recipe = recipeWith([...written, ...overrides, `recompute=${recompute}`]);
      expect(recipe.per_device_eval_batch_size).toBeLessThan(8);
      const found = estimateRecipe({ recipe, headers, teacherConfig });
      expect([found.totalBytes, found.teacherBytes]).toEqual([totalBytes, teacherBytes]);
      expect(Math.max(totalBytes, teacherBytes ?? 0)).toBeLessThanOrEqual(most);
    }
  });

  test('a pass that does not fit even with one sample is reported', () => {
    const { least } = roomy;
    const found = planFor((least.teacherBytes ?? 0) - 1);
    expect(found.options).toEqual([]);
    expect(describeNothingFits(found, recipeWith(written))).toMatch(
      /the teacher's pass alone takes \d+ MB, a sample at a time\. .*distillation\.logits/,
    );
  });
});

test.each([
  { device: 'cpu', rows: 128 },
  { device: 'gpu', rows: 128 },
  { device: 'gpu', card: 'h100', rows: 384 },
  { device: 'gpu', gpu: deviceCard({ name: 'NVIDIA A100-SXM4-80GB' }), rows: 256 },
  { device: 'gpu', gpu: deviceCard({ name: 'unknown' }), rows: 384 },
] as const)('the head computes as many logits at once as fill a product: %j', ({ rows, ...on }) => {
  const large = { ...config, hidden_size: 4096, num_hidden_layers: 1, vocab_size: 131_072, max_position_embeddings: 2048 };
  const { trainPass, passesOf, trainShapes } = planRun({
    recipe: recipeWith(['max_length=2048', 'per_device_train_batch_size=1']),
    headers: headersOf(large),
    on: { engine: CARD_ENGINE, ...on },
  });
  const [pass] = passesOf(elementAt(trainShapes, 0));
  const { signature } = trainPass(required(pass, 'the pass'), 'none');
  const logits = signature.schedule.filter(({ op, shape }) => op === 'matmul' && shape[1] === large.vocab_size);
  expect(logits[0]?.shape).toEqual([rows, large.vocab_size]);
});

describe('a run on a GPU that its weights do not fit', () => {
  const large = headersOf({ ...config, hidden_size: 256, intermediate_size: 1024 });
  const at = { headers: large, engine: CARD_ENGINE, device: 'gpu', isPerDevice: true } as const;
  const ofRecipe = (...overrides: string[]) => recipeWith(['trains=columns', ...overrides]);
  const priced = (...overrides: string[]) => estimateRecipe({ ...at, recipe: ofRecipe(...overrides), usableBytes: 1e12 });
  const HOST = ['engine=pjrt', 'base_offload=host'];
  const usableBytes = priced(...HOST, 'recompute=block', 'per_device_train_batch_size=4', 'per_device_eval_batch_size=4').totalBytes;

  test('fits with its base in the memory of the host, at its own rank', () => {
    const { options } = planMemory({ ...at, recipe: ofRecipe(), usableBytes });
    expect(options.length).toBeGreaterThan(0);
    for (const { overrides, totalBytes, hostBytes, r, recompute } of options) {
      expect(overrides).toEqual(expect.arrayContaining(HOST));
      expect(r).toBeUndefined();
      const found = priced(...overrides, `recompute=${recompute}`);
      expect([totalBytes, hostBytes]).toEqual([found.totalBytes, found.offloadedBytes]);
      expect(totalBytes).toBeLessThanOrEqual(usableBytes);
    }
  });

  test('has that in its estimate, with blocks recomputed where its own level does not fit', () => {
    const small = ['per_device_train_batch_size=4', 'per_device_eval_batch_size=4'];
    const { baseOnHost } = estimateRecipe({ ...at, recipe: ofRecipe(...small, 'recompute=none'), usableBytes });
    const found = priced(...small, ...HOST, 'recompute=block');
    expect(baseOnHost).toEqual({
      runBytes: found.runBytes,
      offloadedBytes: found.offloadedBytes,
      recompute: 'block',
      overrides: [...HOST, 'recompute=block'],
    });
    expect(found.runBytes).toBeLessThanOrEqual(usableBytes);
    expect(onHostText({ baseOnHost }, usableBytes)).toMatch(
      /^; with engine: pjrt, base_offload: host and recompute: block it needs about \S+ MB and fits, with \S+ MB in host memory$/,
    );
    expect(onHostText({ baseOnHost }, 1)).toMatch(/it still needs about \S+ MB$/);
  });

  test('reads its teacher from there too, a few weights of a block at a time', () => {
    const teacherConfig = { ...config, hidden_size: 512, intermediate_size: 4096 };
    const taught = ['task=distillation', 'distillation={teacher: t, top_k: 8}'];
    const ofTeacher = (...overrides: string[]) =>
      required(
        estimateRecipe({ ...at, recipe: ofRecipe(...taught, ...overrides), teacherConfig }).teacherBytes,
        'the memory of the teacher',
      );
    const model = causalModel(teacherConfig);
    const weights = hostedBytes(model, FLOAT32_STORAGE, hostedUntrained(model, FLOAT32_STORAGE, HOSTED_FROM));
    const saved = ofTeacher('engine=pjrt') - ofTeacher(...HOST);
    expect(saved).toBeLessThan(weights);
    expect(saved).toBeGreaterThan(weights - (2 * weights) / model.blocks);
  });

  test.each([
    ['it fits', [], 1e12],
    ['every weight is trained', ['method=full', 'trains=rows'], 1],
    ['its base lies there already', HOST, 1],
  ])('and says nothing where %s', (_, overrides, bytes) => {
    expect(estimateRecipe({ ...at, recipe: ofRecipe(...overrides), usableBytes: bytes }).baseOnHost).toBeUndefined();
  });
});

describe('a step that was compiled for a card', () => {
  const recipe = recipeWith(['recompute=block']);
  const at = { recipe, headers, engine: CARD_ENGINE, device: 'gpu', usableBytes: 1e12 } as const;
  const smallBatch = { ...recipe, per_device_train_batch_size: 4, per_device_eval_batch_size: 4, gradient_accumulation_steps: 2 };
  const compiled = planMark(planRun({ recipe: smallBatch, headers, on: computesOn(at) }), 'block');
  const known = (bytes: number): KnownPrograms => ({
    workingBytes: () => bytes,
    mayHave: mark => mark === compiled,
    note: async () => undefined,
    ofCard: true,
  });
  const optionOf = (options: readonly PlanOption[]) =>
    required(
      options.find(({ batch, recompute }) => batch === 4 && recompute === 'block'),
      'the option',
    );

  test('gives a proposal its memory, and all others have that of the model', () => {
    const byModel = planMemory(at).options;
    const before = optionOf(byModel);
    const { options } = planMemory({ ...at, known: known(before.activationBytes + 1000) });
    const { totalBytes, activationBytes, source } = optionOf(options);
    expect({ activationBytes, source }).toEqual({ activationBytes: before.activationBytes + 1000, source: 'compiler' });
    // The model's total includes a share for unknowns.
    const { totalBytes: held } = estimateRecipe({ ...at, recipe: smallBatch, known: known(0) });
    expect(totalBytes).toBeGreaterThan(before.activationBytes);
    expect(held).toBeLessThan(totalBytes);
    const others = ({ batch, recompute }: PlanOption): boolean => batch !== 4 || recompute !== 'block';
    expect(options.filter(others)).toEqual(byModel.filter(others));
    expect(options.filter(others).map(option => option.source)).not.toContain('compiler');
  });

  test('takes less than the evaluation of the model, which then counts', () => {
    const { options } = planMemory({ ...at, known: known(1) });
    expect(optionOf(options).source).toBe('model');
    expect(optionOf(options).activationBytes).toBeGreaterThan(1);
  });
});

describe('programs that a run has compiled with one kernel for attention', () => {
  const isFused = ({ schedule }: Signature): boolean => schedule.some(({ op }) => op === 'attention');
  /** Training steps without the kernel were not compiled. */
  const known: KnownPrograms = {
    workingBytes: signature => (isFused(signature) || !signature.schedule.some(({ phase }) => phase === 1) ? 1234 : undefined),
    mayHave: () => true,
    note: async () => undefined,
  };
  const priced = (attention: string) => {
    const recipe = recipeWith(['dtype=bfloat16', 'engine=pjrt', 'recompute=block', `attention=${attention}`]);
    return estimateRecipe({ recipe, headers, engine: 'pjrt', device: 'gpu', known });
  };

  test('are found where the recipe leaves the choice to the run', () => {
    expect(priced('auto')).toMatchObject({ source: 'compiler', recompute: 'block' });
    expect(priced('auto')).toEqual(priced('fused'));
  });

  test('are not those of a recipe that asks for chunks', () => {
    expect(priced('chunked').source).toBe('model');
  });
});
