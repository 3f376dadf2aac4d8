/** Compares training with bfloat16 weights and products, and over quantized bases, with float32, on the fastest engine here. */

import { describe, expect, test } from 'vitest';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import { float32Of, fromBfloat16, toBfloat16 } from '../../../trainer/graph/types.ts';
import type { Attachment, MethodSettings } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import type { WeightSource } from '../../../trainer/model/weight-source.ts';
import type { Precision } from '../../../trainer/model/weight-storage.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import { openOthers, openReference } from '../../support/engines.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { adamw, expectSameAfterRestore, openTiny, type TinyRunParams, withTinyRun } from '../../support/runs/tiny-training.ts';

const reference = await openReference();
const engines = [{ name: 'portable, cpu', engine: reference }, ...(await openOthers())];
const fastest = engines.findLast(({ engine }) => engine)?.engine ?? reference;
const tiny = await openTiny('llama');

const bfloat16: Precision = { dtype: 'bfloat16', quantize: 'none' };
const attach = (
  method: MethodName,
  precision: Precision = { dtype: 'float32', quantize: 'none' },
  changes: Partial<MethodSettings> = {},
): Attachment => {
  const settings = settingsOf(changes);
  return placeTrained(methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings)), tiny.model, precision);
};
const learningRates: Partial<Record<MethodName, number>> = { full: 1e-3 };
const train = (method: MethodName, precision: Precision | undefined, steps: number, changes: Partial<TinyRunParams> = {}) =>
  withTinyRun(
    { engine: fastest, tiny, attachment: attach(method, precision), learningRate: learningRates[method] ?? 5e-3, ...changes },
    run => run.steps(steps),
  );

test('float32 leaves an attachment as it is', () => {
  const settings = settingsOf();
  const attachment = methods.lora.attach(tiny.model, settings, new Map());
  expect(placeTrained(attachment, tiny.model, { dtype: 'float32', quantize: 'none' })).toBe(attachment);
});

describe('bfloat16', () => {
  test.each(['spsft', 'lora', 'dora', 'rosa', 'full'] as const)(
    '%s: over 200 steps the loss stays within 3 %% of the first one to that of float32',
    async method => {
      const [plain, half] = [await train(method, undefined, 200), await train(method, bfloat16, 200)];
      half.forEach((loss, i) => {
        expect(Math.abs(loss - (plain[i] as number))).toBeLessThan(0.03 * (plain[0] as number));
      });
      expect(half.at(-1)).toBeLessThan(half[0] as number);
    },
    240_000,
  );

  test.each(['spsft', 'dora', 'full'] as const)('%s: weights that come as bits give the same run', async method => {
    const inBits: WeightSource = {
      tensors: tiny.weights.tensors,
      readFloat32: async name => fromBfloat16(toBfloat16(await tiny.weights.readFloat32(name))),
      readBfloat16: async name => toBfloat16(await tiny.weights.readFloat32(name)),
    };
    const attachment = attach(method, bfloat16);
    const losses = (weights: WeightSource) => withTinyRun({ engine: fastest, tiny: { ...tiny, weights }, attachment }, run => run.steps(3));
    const { readFloat32, tensors } = inBits;
    expect(await losses(inBits)).toEqual(await losses({ readFloat32, tensors }));
  });

  test.each(['none', 'cheap', 'block', 'sqrt'] as const)('recompute %s gives the same losses', async recompute => {
    const [base, other] = [await train('lora', bfloat16, 3), await train('lora', bfloat16, 3, { recompute })];
    other.forEach((loss, i) => {
      expect(loss).toBeCloseTo(base[i] as number, 4);
    });
  });

  test.each([
    ['spsft', 'rows'],
    ['spsft', 'columns'],
    ['full', 'rows'],
    ['rosa', 'rows'],
  ] as const)('%s of %s: weights are masters rounded, and updates too small for bfloat16 add up', async (method, trains) => {
    const attachment = attach(method, bfloat16, { trains });
    const optimizer = { ...adamw, name: 'sgd', weightDecay: 0 } as const;
    await withTinyRun({ engine: fastest, tiny, attachment, optimizer, learningRate: 1e-4 }, async run => {
      const before = await run.snapshot();
      await run.steps(20);
      const after = await run.snapshot();
      let moved = 0;
      for (const { name, variable, master, rows, columns, elements } of attachment.trainables) {
        const values = float32Of(valueFor(after, name));
        moved += values.filter((x, i) => x !== before.get(name)?.[i]).length;
        if (!master) continue;
        const bits = toBfloat16(values);
        const held = await run.session.read(variable.name);
        const [out = 0, width = 0] = variable.shape;
        const places = rows
          ? [...rows.indices].flatMap(row => Array.from({ length: width }, (_, i) => row * width + i))
          : columns
            ? Array.from({ length: out }, (_, row) => [...columns.indices].map(column => row * width + column)).flat()
            : elements?.indices;
        expect(Array.from(bits)).toEqual(Array.from(places ?? held.keys(), place => held[place]));
      }
      expect(moved).toBeGreaterThan(0);
    });
  });

  test('a restored run continues bit by bit', async () => {
    await expectSameAfterRestore({ engine: reference, tiny, attachment: attach('spsft', bfloat16) });
  }, 60_000);
});

test('rows of a quantized weight are loaded once, though its bias has the same', async () => {
  const biased = await openTiny('llama_biased');
  const settings = settingsOf();
  const attached = methods.spsft.attach(biased.model, settings, scattered(biased.model, 'spsft', settings));
  const attachment = placeTrained(attached, biased.model, { dtype: 'float32', quantize: 'int8' });
  const [first, second] = await withTinyRun({ engine: fastest, tiny: biased, attachment }, run => run.steps(2));
  expect(second).toBeLessThan(required(first, 'the first loss'));
});
