/** Tests the laws that every method keeps: one table of variants, all on the fastest engine and a few on each; one of laws. */

import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Adapter } from '../../../trainer/adapter/adapter.ts';
import { applyAdapter } from '../../../trainer/adapter/apply-adapter.ts';
import { mergedWeights } from '../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { asStored, describeAdapter, writeAdapter } from '../../../trainer/adapter/write-adapter.ts';
import { type MethodName, methodNames } from '../../../trainer/catalog/methods.ts';
import { elementCount, type HostArray } from '../../../trainer/graph/types.ts';
import { type Attachment, type MethodSettings, trainableCount } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { casesOnFastest, describeOn, openAllOthers, tensorsAlive } from '../../support/engines.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { adamw, openTiny, plainSgd, SharedRuns, TinyRun, type TinyRunParams, withTinyRun } from '../../support/runs/tiny-training.ts';
import { trainedPlaces } from '../../support/runs/trained-places.ts';

/** A model whose linear layers all have biases, and with separate head and embedding. */
const tiny = await openTiny('llama_biased');
const [H, I, K, L, V] = [32, 48, 16, 2, 64] as const;
const R = 4;

interface Variant {
  readonly title: string;
  readonly method: MethodName;
  readonly settings?: Partial<MethodSettings>;
  /** The number of trained parameters, from a closed formula. */
  readonly count: number;
  /** Minimum share by which the loss must fall within 30 steps; 3% by default. */
  readonly learns?: number;
}

const inAttention = { spsft: R * 4 * (H + 1), lora: R * (4 * H + 2 * (H + K)) };
const inMlp = { spsft: R * (2 * (H + 1) + I + 1), lora: R * 3 * (H + I) };
const attentionWeights = 2 * (H * H + H) + 2 * (K * H + K);
const everything = 2 * V * H + H + L * (2 * H + attentionWeights + 3 * H * I + 2 * I + H);

/** Number of output features of a block's linear layers: the size of their biases, DoRA's magnitudes and VeRA's vectors b. */
const outputs = 3 * H + 2 * K + 2 * I;
const quarterOfRows = (2 * (H / 4) + 2 * (K / 4) + 2 * (I / 4)) * (H + 1) + (H / 4) * (I + 1);
const tenth = (n: number): number => Math.round(n / 10);
const tenthOfElements = 2 * tenth(H * H) + 2 * tenth(K * H) + 3 * tenth(H * I);

const variants: readonly Variant[] = [
  { title: 'spsft', method: 'spsft', count: L * (inAttention.spsft + inMlp.spsft) },
  { title: 'FA-spsft', method: 'spsft', settings: { freeze: ['attention'] }, count: L * inMlp.spsft },
  {
    title: 'spsft by ratio',
    method: 'spsft',
    settings: { budget: { ratio: 0.25 } },
    count: L * quarterOfRows,
  },
  {
    title: 'spsft with norms',
    method: 'spsft',
    settings: { targetModules: ['all-linear', 'input_layernorm'] },
    count: L * (inAttention.spsft + inMlp.spsft + R),
  },
  { title: 'spsft of norms alone', method: 'spsft', settings: { targetModules: ['input_layernorm'] }, count: L * R, learns: 0.002 },
  { title: 'spsft of the head', method: 'spsft', settings: { targetModules: ['lm_head'] }, count: R * H },
  {
    title: 'spsft of the embedding',
    method: 'spsft',
    settings: { targetModules: ['embed_tokens'], budget: { r: V / 2 } },
    count: (V / 2) * H,
  },
  {
    // Each weight has r rows and r columns, which share r² elements; plus the entries of both norms of a block and of the final norm.
    title: 'spsft with dependencies',
    method: 'spsft',
    settings: { targetModules: ['gate_proj', 'up_proj', 'down_proj'], dependencies: true },
    count: L * (3 * (R * H + R * I - R * R + R) + 2 * R) + R,
  },
  {
    // Without biases, each weight has as many elements per column as outputs: q, o, gate, up and down, k and v.
    title: 'spsft by columns',
    method: 'spsft',
    settings: { trains: 'columns' },
    count: L * R * (3 * H + 2 * K + 2 * I),
  },
  {
    title: 'spsft of columns by ratio',
    method: 'spsft',
    settings: { trains: 'columns', targetModules: ['o_proj', 'down_proj'], budget: { ratio: 0.25 } },
    count: L * (H * (H / 4) + H * (I / 4)),
  },
  {
    // r rows of gate, up and v with their biases, r columns of down, and the columns of o of every head that reads a value.
    title: 'spsft of coupled channels',
    method: 'spsft',
    settings: { trains: 'coupled' },
    count: L * (R * (3 * (H + 1) + H) + R * (H / K) * H),
  },
  { title: 'lora', method: 'lora', count: L * (inAttention.lora + inMlp.lora) },
  { title: 'lora from singular vectors', method: 'lora', settings: { loraStart: 'pissa' }, count: L * (inAttention.lora + inMlp.lora) },
  { title: 'FA-lora', method: 'lora', settings: { freeze: ['attention'] }, count: L * inMlp.lora },
  {
    title: 'lora with a saved head',
    method: 'lora',
    settings: { modulesToSave: ['head'] },
    count: L * (inAttention.lora + inMlp.lora) + V * H,
  },
  { title: 'dora', method: 'dora', count: L * (inAttention.lora + inMlp.lora + outputs) },
  { title: 'FA-dora', method: 'dora', settings: { freeze: ['attention'] }, count: L * (inMlp.lora + 2 * I + H) },
  { title: 'rosa', method: 'rosa', settings: { sparseRatio: 0.1 }, count: L * (inAttention.lora + inMlp.lora + tenthOfElements) },
  { title: 'shira', method: 'shira', count: L * (inAttention.lora + inMlp.lora) },
  { title: 'vera', method: 'vera', settings: { rank: 2 * R }, count: L * (7 * 2 * R + outputs), learns: 0.02 },
  {
    title: 'spsft+lora',
    method: 'spsft+lora',
    settings: { budget: { ratio: 0.25 } },
    count: L * (inAttention.lora + inMlp.lora + quarterOfRows),
  },
  { title: 'bitfit', method: 'bitfit', count: L * outputs, learns: 0.02 },
  { title: 'head', method: 'head', count: V * H },
  {
    title: 'spsft with a saved norm',
    method: 'spsft',
    settings: { targetModules: ['q_proj'], modulesToSave: ['model.norm'] },
    count: L * R * (H + 1) + H,
    learns: 0.01,
  },
  { title: 'full', method: 'full', count: everything },
  { title: 'FA-full', method: 'full', settings: { freeze: ['attention'] }, count: everything - L * attentionWeights },
];

/** Rows in place, factors next to the weights, and all weights: the variants for every engine. */
const few = new Set(['spsft', 'lora', 'full']);

test('every method is in the table', () => {
  expect(new Set(variants.map(({ method }) => method))).toEqual(new Set(methodNames));
});

function attach(method: MethodName, changes: Partial<MethodSettings> = {}): Attachment {
  const settings = settingsOf({ budget: { r: R }, rank: R, ...changes });
  return methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings));
}

const untouched: Attachment = { method: 'full', trainables: [], initial: () => [] };

/** Number of trained elements in the model's own parameters. */
function inPlaceCount({ trainables }: Attachment): number {
  const own = new Set(tiny.model.parameters.map(({ name }) => name));
  return trainables.reduce((sum, { variable, shape }) => sum + (own.has(variable.name) ? elementCount(shape) : 0), 0);
}

interface LawContext {
  readonly variant: Variant;
  readonly attachment: Attachment;
  /** Engine, model and attachment of the variant. */
  readonly base: TinyRunParams;
  /** Runs of the variant; below, those of the model without a method and of full tuning. */
  readonly runs: SharedRuns;
  readonly plain: SharedRuns;
  readonly full: SharedRuns;
}

/** Writes an adapter to disk and reads it back. */
async function savedAdapter(attachment: Attachment, values: ReadonlyMap<string, HostArray>): Promise<Adapter> {
  const dir = join(await temporaryFolder(), 'adapter');
  const tensors = attachment.trainables.map(({ name, shape }) => ({ name, shape, data: () => valueFor(values, name) }));
  const description = describeAdapter(attachment, { source: 'tiny', revision: '', fingerprint: '' });
  await writeAdapter(dir, { description, tensors: asStored(attachment.trainables, tensors) });
  return readAdapter(dir);
}

const laws: Readonly<Record<string, (context: LawContext) => Promise<void>>> = {
  'trains as many numbers as its formula says': async ({ variant, attachment }) => {
    expect(trainableCount(attachment)).toBe(variant.count);
  },

  'attached and untrained it equals the base': async ({ runs, plain, attachment }) => {
    const expected = await plain.use({}, run => run.evaluate());
    const found = await runs.use({}, run => run.evaluate());
    // m / ‖W‖ is 1 except for rounding, and so is what is taken out of W and added again.
    if (attachment.method === 'dora' || attachment.taken) expect(Math.abs(found - expected)).toBeLessThan(1e-6 * expected);
    else expect(found).toBe(expected);
  },

  'what it does not train stays the same to the bit': async ({ runs, attachment }) => {
    await runs.use({}, async run => {
      await run.steps(3);
      let moved = 0;
      for (const parameter of tiny.model.parameters) {
        const { name } = parameter;
        const [weight, after] = [await tiny.weights.readFloat32(name), await run.session.read(name)];
        const before = attachment.taken?.restOf({ name, data: weight })?.data ?? weight;
        if (before === 'zeros') throw new Error(`${name} is held as zeros`);
        const trained = trainedPlaces(attachment, parameter);
        before.forEach((value, i) => {
          if (trained === 'all' || trained.has(i)) moved += value === after[i] ? 0 : 1;
          else if (!Object.is(value, after[i])) throw new Error(`${name}[${i}] went from ${value} to ${after[i]}`);
        });
      }
      expect(moved).toBeGreaterThanOrEqual(0.5 * inPlaceCount(attachment));
    });
  },

  'what it trains in place moves by the gradient of full tuning': async ({ runs, full, attachment }) => {
    // With additions next to the weights, their gradient differs.
    if (attachment.linearHook) return;
    const sgd = { optimizer: plainSgd, learningRate: 1, maxGradNorm: 0 };
    const moved = (source: SharedRuns) =>
      source.use(sgd, async run => {
        await run.step();
        const found = new Map<string, number[]>();
        for (const parameter of tiny.model.parameters) {
          const [before, after] = [await tiny.weights.readFloat32(parameter.name), await run.session.read(parameter.name)];
          const places = trainedPlaces(attachment, parameter);
          const change = Array.from(before, (value, i) => (after[i] ?? Number.NaN) - value);
          found.set(
            parameter.name,
            change.filter((_, i) => places === 'all' || places.has(i)),
          );
        }
        return found;
      });
    const [own, whole] = [await moved(runs), await moved(full)];
    for (const [name, change] of whole) expectClose(valueFor(own, name), change, 1e-4, name);
  },

  'merged it computes what it computes attached': async ({ runs, plain, attachment }) => {
    await runs.use({ learningRate: 2e-2 }, async run => {
      await run.steps(5);
      const expected = await run.evaluate();
      const adapter = await savedAdapter(attachment, await run.snapshot());
      const merged = { model: tiny.model, weights: mergedWeights(tiny.weights, adapter) };
      const found = await plain.use({ tiny: merged }, other => other.evaluate());
      expect(Math.abs(found - expected)).toBeLessThan(1e-5 * expected);
      await adapter.close();
    });
  },

  'saved and loaded it computes the same': async ({ base, runs }) => {
    await runs.use({ learningRate: 2e-2 }, async run => {
      await run.steps(5);
      const expected = await run.evaluate();
      const adapter = await savedAdapter(base.attachment, await run.snapshot());
      const { weights, attachment, start } = await applyAdapter({ model: tiny.model, weights: tiny.weights, fingerprint: '', adapter });
      const found = await withTinyRun({ ...base, tiny: { model: tiny.model, weights }, attachment, start }, other => other.evaluate());
      expect(Math.abs(found - expected)).toBeLessThan(1e-5 * expected);
      await adapter.close();
    });
  },

  'no tensor is left behind': async ({ base }) => {
    const before = tensorsAlive(base.engine);
    await withTinyRun(base, async run => {
      await run.step();
      const once = tensorsAlive(base.engine);
      await run.steps(2);
      expect(tensorsAlive(base.engine)).toBe(once);
    });
    expect(tensorsAlive(base.engine)).toBe(before);
  },

  'loss falls on a batch that can be memorized': async ({ runs, variant }) => {
    await runs.use({ learningRate: 2e-2 }, async run => {
      const first = await run.evaluate();
      await run.steps(30);
      expect(await run.evaluate()).toBeLessThan((1 - (variant.learns ?? 0.03)) * first);
    });
  },

  'restored from a snapshot it continues to the bit': async ({ base, runs }) => {
    const { parts, onwards } = await runs.use({}, async run => {
      await run.steps(3);
      const parts = await run.snapshot();
      const onwards = await run.steps(2);
      await run.restore(parts, 3);
      expect(await run.steps(2)).toEqual(onwards);
      return { parts, onwards };
    });
    await withTinyRun(base, async run => {
      await run.restore(parts, 3);
      expect(await run.steps(2)).toEqual(onwards);
    });
  },

  'two half batches equal a whole one': async ({ runs }) => {
    const plain = { optimizer: plainSgd, learningRate: 0.1, maxGradNorm: 0, accumulationSteps: 1 };
    const whole = await runs.use(plain, async run => {
      await run.steps(2);
      return run.snapshot();
    });
    const halves = await runs.use({ ...plain, accumulationSteps: 2 }, async run => {
      for (let i = 0; i < 2; i++) await run.accumulatedStep();
      return run.snapshot();
    });
    expectSame(halves, whole, 1e-5);
  },

  "clipping is PyTorch's": async ({ runs }) => {
    const change = (maxGradNorm: number, lossScale = 1, accumulationSteps = 1) =>
      runs.use({ optimizer: plainSgd, learningRate: 1, lossScale, maxGradNorm, accumulationSteps }, async run => {
        const before = await run.snapshot();
        const { gradNorm } = accumulationSteps > 1 ? await run.accumulatedStep() : await run.step();
        const after = await run.snapshot();
        return { gradNorm, moved: [...before].flatMap(([name, values]) => Array.from(values, (x, i) => x - (after.get(name)?.[i] ?? 0))) };
      });
    const free = await change(0);
    const norm = Math.sqrt(free.moved.reduce((sum, x) => sum + x * x, 0));
    expect(free.gradNorm / norm).toBeCloseTo(1, 4);
    // The largest norm is part of the program. Losses of another scale need no other program.
    for (const lossScale of [3, 1 / 3]) {
      const scaled = norm * lossScale;
      const factor = lossScale * Math.min(1, norm / (scaled + 1e-6));
      for (const clipped of [await change(norm, lossScale), await change(norm, lossScale, 2)]) {
        expect(clipped.gradNorm / scaled).toBeCloseTo(1, 4);
        expectClose(
          clipped.moved,
          free.moved.map(x => x * factor),
          1e-5,
        );
      }
    }
  },
};

function expectSame(found: ReadonlyMap<string, HostArray>, wanted: ReadonlyMap<string, HostArray>, tolerance: number): void {
  expect([...found.keys()]).toEqual([...wanted.keys()]);
  for (const [name, values] of wanted) expectClose(Array.from(found.get(name) ?? []), Array.from(values), tolerance, name);
}

const engines = await openAllOthers();
describeOn(engines, (engine, engineName) => {
  const shared = { engine, tiny, optimizer: adamw };
  const plain = new SharedRuns({ ...shared, attachment: untouched });
  afterAll(() => plain.dispose());
  const full = new SharedRuns({ ...shared, attachment: attach('full') });
  afterAll(() => full.dispose());

  for (const variant of casesOnFastest(engines, engineName, variants, ({ title }) => few.has(title)))
    describe(variant.title, () => {
      const attachment = attach(variant.method, variant.settings);
      const base = { ...shared, attachment };
      const runs = new SharedRuns(base);
      afterAll(() => runs.dispose());
      test.each(Object.entries(laws))('%s', (_, law) => law({ variant, attachment, base, runs, plain, full }));
    });

  test('dropout of lora follows the seed, and evaluation has none', async () => {
    const base = { engine, tiny, learningRate: 0.05 };
    const trained = await withTinyRun({ ...base, attachment: attach('lora') }, async run => {
      await run.steps(3);
      return run.snapshot();
    });
    const dropping = { ...base, attachment: attach('lora', { loraDropout: 0.5 }) };
    const open = async () => {
      const run = await TinyRun.open(dropping);
      await run.restore(trained, 3);
      return run;
    };
    const runs = await Promise.all([open(), open(), open()]);
    const evaluations = await Promise.all(runs.map(run => run.evaluate()));
    const [one, same, other] = await Promise.all(runs.map((run, i) => run.step(i < 2 ? 7 : 8)));
    await Promise.all(runs.map(run => run.dispose()));
    expect(same?.loss).toBe(one?.loss);
    expect(other?.loss).not.toBe(one?.loss);
    const plain = await withTinyRun({ ...base, attachment: attach('lora') }, async run => {
      await run.restore(trained, 3);
      return run.evaluate();
    });
    expect(evaluations).toEqual([plain, plain, plain]);
    expect(one?.loss).not.toBe(plain);
  });
});
