/** Tests Adam with 8-bit moments: compares it with a naive quantizer and with float32 Adam, and over a break. */
import { expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { byteSize, elementCount } from '../../../trainer/graph/types.ts';
import { method as full } from '../../../trainer/method/full/method.ts';
import { attachLora } from '../../../trainer/method/lora/attach.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import {
  ditherOf,
  eightBitState,
  fromBlocks,
  groupParts,
  readEightBit,
  roundingNoise,
  toBlocks,
  writeEightBit,
} from '../../../trainer/train/eight-bit.ts';
import { eightBitCount, optimizerState } from '../../../trainer/train/optimizer.ts';
import { updateGroups } from '../../../trainer/train/update-group.ts';
import { describeOn, openAllOthers, openReference, openToTrain } from '../../support/engines.ts';
import { settingsOf } from '../../support/models/method-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { adamw, expectSameAfterRestore, openTiny, withTinyRun } from '../../support/runs/tiny-training.ts';

const reference = await openReference();
const engines = [{ name: 'portable, cpu', engine: reference }, ...(await openAllOthers())];

/** Quantizes every block and every element separately. */
function naive(values: readonly number[], kind: 'signed' | 'unsigned', noise: readonly number[]): number[] {
  const levels = kind === 'signed' ? 127 : 255;
  return values.map((x, i) => {
    const block = values.slice(i - (i % 256), i - (i % 256) + 256);
    const scale = Math.max(...block.map(Math.abs));
    const power = (Math.abs(x) / scale) * levels ** 4;
    const lower = Math.floor(power ** 0.25 + 1e-9);
    const share = (power - lower ** 4) / ((lower + 1) ** 4 - lower ** 4);
    const code = lower + (share + (noise[i % 256] as number) >= 1 ? 1 : 0);
    const kept = kind === 'signed' ? Math.sign(x) * code : Math.max(code, 1);
    return (Math.sign(kept) * scale * kept ** 4) / levels ** 4;
  });
}

async function roundTrip(engine: Engine, values: Float32Array, kind: 'signed' | 'unsigned', dithers: readonly number[]) {
  const state = eightBitState('m', values.length, kind);
  const write = new Graph();
  const noise = roundingNoise(write);
  const blocks = toBlocks(write, write.feed('values', [values.length]));
  const effects = writeEightBit(write, state, blocks, noise);
  const read = new Graph();
  const session = await engine.compile(
    assemble({
      write: { graph: write, outputs: { noise }, effects },
      read: { graph: read, outputs: { x: fromBlocks(read, readEightBit(read, state), [values.length]) }, effects: [] },
    }),
  );
  await session.load([state.codes, state.scales].map(({ name }) => ({ name, data: 'zeros' as const })));
  const found: { noise: number[]; x: number[] }[] = [];
  for (const dither of dithers) {
    const written = await session.run('write', { values, dither: Float32Array.of(dither) });
    const { x = [] } = await session.run('read', {});
    found.push({ noise: [...(written.noise ?? [])], x: [...x] });
  }
  await session.dispose();
  return found;
}

/** Seven decades, a zero, and an incomplete block. */
const spread = Float32Array.from(randomNumbers(600, -7, 0, 3), (exponent, i) => (i === 5 ? 0 : (i % 2 ? 1 : -1) * 10 ** exponent));

describeOn(engines, engine => {
  test.each(['signed', 'unsigned'] as const)('%s codes are those of a naive quantizer', async kind => {
    const values = kind === 'signed' ? spread : spread.map(Math.abs);
    const [found] = await roundTrip(engine, values, kind, [0.25]);
    const expected = naive([...values], kind, found?.noise ?? []);
    // If share + noise is 1 up to float32 rounding, either code is correct.
    const wrong = expected.filter((x, i) => Math.abs(x - (found?.x[i] as number)) > 1e-5 * Math.abs(x));
    expect(wrong.length).toBeLessThanOrEqual(2);
  });

  test('rounding is unbiased over many steps', async () => {
    const steps = Array.from({ length: 200 }, (_, i) => ditherOf(i + 1));
    const found = await roundTrip(engine, spread, 'signed', steps);
    const means = [...spread].map((_, i) => found.reduce((sum, { x }) => sum + (x[i] as number), 0) / found.length);
    const largest = Math.max(...spread.map(Math.abs));
    means.forEach((mean, i) => {
      expect(Math.abs(mean - (spread[i] as number))).toBeLessThan(0.01 * Math.abs(spread[i] as number) + 1e-8 * largest);
    });
  }, 60_000);
});

test('noise fills [0, 1) evenly over a block and over the steps', () => {
  const steps = Array.from({ length: 1000 }, (_, i) => ditherOf(i + 1)).sort((a, b) => a - b);
  steps.forEach((u, i) => {
    expect(Math.abs(u - i / 1000)).toBeLessThan(0.005);
  });
});

const tiny = await openTiny('llama');
const eightBit = { ...adamw, eightBitFrom: 1 };

/** A hundred steps take the reference half a minute. */
const fastest = await openToTrain();

test.each([
  { method: 'full', attach: full.attach, learningRate: 3e-3 },
  { method: 'lora', attach: attachLora, learningRate: 1e-2 },
])(
  '$method: over 100 steps the loss stays within 2 % of the first one to that of float32 moments',
  async ({ attach, learningRate }) => {
    const attachment = attach(tiny.model, settingsOf(), new Map());
    const losses = (optimizer: typeof adamw) =>
      withTinyRun({ engine: fastest, tiny, attachment, optimizer, learningRate }, run => run.steps(100));
    const [plain, small] = [await losses(adamw), await losses(eightBit)];
    const first = plain[0] as number;
    small.forEach((loss, i) => {
      expect(Math.abs(loss - (plain[i] as number))).toBeLessThan(0.02 * first);
    });
    // It does learn the batch.
    expect(small.at(-1)).toBeLessThan(0.6 * first);
  },
  240_000,
);

test('a restored run continues bit by bit', async () => {
  const params = { engine: reference, tiny, attachment: attachLora(tiny.model, settingsOf(), new Map()), optimizer: eightBit };
  const parts = await expectSameAfterRestore(params);
  expect([...parts.values()].some(data => data instanceof Uint8Array)).toBe(true);
}, 60_000);

test.each([1, 2])(
  'factors joined for 8 bits, but too few for them, move as each alone does: %i batches an update',
  async accumulationSteps => {
    const attachment = attachLora(tiny.model, settingsOf(), new Map());
    const trained = (optimizer: typeof adamw) =>
      withTinyRun({ engine: fastest, tiny, attachment, optimizer, accumulationSteps, maxGradNorm: 0.5 }, async run => {
        for (let i = 0; i < 4; i++) await (accumulationSteps > 1 ? run.accumulatedStep() : run.step());
        const parts = await run.snapshot();
        return attachment.trainables.flatMap(({ name }) => [...valueFor(parts, name)]);
      });
    expectClose(await trained({ ...adamw, eightBitFrom: 2 ** 30 }), await trained(adamw), 1e-5);
  },
);

test('the factors of a block share one state in 8 bits, and have one each in 32', () => {
  const { trainables } = attachLora(tiny.model, settingsOf(), new Map());
  const layers = new Set(trainables.map(({ batch }) => batch));
  expect(updateGroups(trainables, adamw)).toHaveLength(trainables.length);
  const joined = updateGroups(trainables, eightBit);
  expect(joined).toHaveLength(layers.size);
  expect(eightBitCount(eightBit, joined)).toBe(trainables.reduce((sum, { shape }) => sum + elementCount(shape), 0));
});

test('a large variable is updated in parts, and holds about two bytes a number', () => {
  const variable = { name: 'w', shape: [50_000, 256], dtype: 'float32' as const };
  const [group] = updateGroups([{ name: 'w', variable, shape: variable.shape }], adamw);
  if (!group) throw new Error('no group');
  const parts = groupParts(group);
  expect(parts.map(({ rows }) => rows)).toEqual([16384, 16384, 16384, 848]);
  const bytes = optimizerState({ ...adamw, eightBitFrom: 4096 }, group).reduce((sum, spec) => sum + byteSize(spec), 0);
  expect(bytes / (50_000 * 256)).toBeCloseTo(2 + 8 / 256, 5);
  expect(optimizerState({ ...adamw, eightBitFrom: 2 ** 30 }, group)).toEqual(optimizerState(adamw, group));
  expect([1, 50_000 * 256, 50_000 * 256 + 1].map(from => eightBitCount({ ...adamw, eightBitFrom: from }, [group]))).toEqual([
    12.8e6, 12.8e6, 0,
  ]);
});
