/** Tests int8 and NF4: compares them with bitsandbytes and with naive quantizers, and uses them in training. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble, type VariableData } from '../../../trainer/graph/program.ts';
import { byteSize, elementCount, float32Of, toBfloat16 } from '../../../trainer/graph/types.ts';
import type { Attachment, MethodSettings } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import { TargetError } from '../../../trainer/method/targets.ts';
import { NF4_LEVELS, nf4Variables, quantizeNf4 } from '../../../trainer/model/nf4.ts';
import { FLOAT32, type Precision, WeightStorage } from '../../../trainer/model/weight-storage.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import { describeOn, openAllOthers, openReference, openToTrain } from '../../support/engines.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';
import { openTiny, type TinyRunParams, withTinyRun } from '../../support/runs/tiny-training.ts';

const golden = readGoldenJson(
  'quantized/nf4.json',
  z.object({
    shape: z.tuple([z.number(), z.number()]),
    values: z.string(),
    codes: z.string(),
    scales: z.string(),
    nf4: z.string(),
    double: z.string(),
  }),
);
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const decoded = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);
const weight = decoded(golden.values);
const spec = { name: 'w', shape: golden.shape };

const reference = await openReference();
const engines = [{ name: 'portable, cpu', engine: reference }, ...(await openAllOthers())];
const fastest = await openToTrain();

const storageOf = (quantize: 'int8' | 'nf4', parameter = spec) =>
  new WeightStorage({
    precision: { dtype: 'float32', quantize },
    parameters: [parameter],
    quantized: new Set([parameter.name]),
    floatParts: new Map(),
  });

/** Quantizes a weight on an engine, dequantizes it, and multiplies with it. */
async function throughEngine(engine: Engine, quantize: 'int8' | 'nf4', values: Float32Array, parameter = spec) {
  const storage = storageOf(quantize, parameter);
  const graph = new Graph();
  const x = graph.feed('x', [3, parameter.shape[1] as number]);
  const outputs = { weight: storage.weight(graph, parameter), y: storage.linear(graph, x, parameter) };
  const session = await engine.compile(assemble({ main: { graph, outputs, effects: [] } }));
  await session.load(storage.encode({ name: 'w', data: values } satisfies VariableData));
  const input = Float32Array.from(randomNumbers(3 * (parameter.shape[1] as number), -1, 1, 4));
  const result = await session.run('main', { x: input });
  await session.dispose();
  return { weight: floatsOf(result, 'weight'), y: floatsOf(result, 'y'), x: input };
}

const meanError = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + Math.abs(x - (b[i] as number)), 0) / a.length;

test('NF4 codes and scales are those of bitsandbytes', () => {
  const { codes, scales } = quantizeNf4(weight);
  expect(codes).toEqual(bytesOf(golden.codes));
  expect(scales).toEqual(decoded(golden.scales));
});

test('NF4 codes are the nearest levels', () => {
  const values = Float32Array.from(randomNumbers(64, -1, 1, 9), (x, i) => (i === 0 ? 1 : x));
  const { codes } = quantizeNf4(values);
  const nearest = [...values].map(x =>
    NF4_LEVELS.reduce((best, level, i) => (Math.abs(level - x) < Math.abs((NF4_LEVELS[best] as number) - x) ? i : best), 0),
  );
  expect([...codes].flatMap(byte => [byte >> 4, byte & 15])).toEqual(nearest);
});

test('NF4 codes count the borders below a number, also right next to one, in blocks of zeros and in blocks that end early', () => {
  const borders = NF4_LEVELS.slice(1).map((level, i) => (level + (NF4_LEVELS[i] as number)) / 2);
  // For each border, a block of its neighbors in float32; then zeros, and an incomplete block.
  const blocks = borders.flatMap((border, b) => {
    const scale = [1, 0.3, 7e-5, 2 ** 100][b % 4] as number;
    const words = new Int32Array(Float32Array.of(border * scale).buffer);
    const near = Array.from({ length: 63 }, (_, i) => new Float32Array(Int32Array.of((words[0] as number) + i - 31).buffer)[0] as number);
    return [scale, ...near];
  });
  const values = Float32Array.from([...blocks, ...new Float32Array(64), 0.5, -0.25, 0.125]);
  const { codes, scales } = quantizeNf4(values);
  const found = [...codes].flatMap(byte => [byte >> 4, byte & 15]);
  expect(scales).toHaveLength(17);
  scales.forEach((scale, block) => {
    const part = values.subarray(64 * block, 64 * (block + 1));
    expect(scale).toBe(part.reduce((most, x) => Math.max(most, Math.abs(x)), 0));
    const inverse = scale > 0 ? 1 / scale : 0;
    const expected = Array.from({ length: 64 }, (_, i) => borders.filter(border => (part[i] ?? 0) * inverse > border).length);
    expect(found.slice(64 * block, 64 * (block + 1))).toEqual(expected);
  });
});

describeOn(engines, engine => {
  test('NF4 comes back as from bitsandbytes, its scales within half a step of their own 8 bits', async () => {
    const { weight: found, y, x } = await throughEngine(engine, 'nf4', weight);
    const exact = decoded(golden.nf4);
    const scales = decoded(golden.scales);
    const halfStep = (Math.max(...scales) - Math.min(...scales)) / 510;
    found.forEach((value, i) => {
      expect(Math.abs(value - (exact[i] as number))).toBeLessThanOrEqual(halfStep * 1.001);
    });
    // As far from the weight as bitsandbytes with double quantization.
    expect(meanError(found, weight)).toBeLessThan(1.02 * meanError(decoded(golden.double), weight));
    const width = golden.shape[1];
    const row = Array.from({ length: width }, (_, i) => (x[i] as number) * (found[2 * width + i] as number)).reduce((a, b) => a + b);
    expect(y[2]).toBeCloseTo(row, 4);
  });

  test('int8 comes back within half a step of each row, and the product is that of what comes back', async () => {
    const { weight: found, y, x } = await throughEngine(engine, 'int8', weight);
    const [rows, width] = golden.shape;
    for (let row = 0; row < rows; row++) {
      const part = weight.subarray(row * width, (row + 1) * width);
      const halfStep = Math.max(...part.map(Math.abs)) / 254;
      part.forEach((value, i) => {
        expect(Math.abs(value - (found[row * width + i] as number))).toBeLessThanOrEqual(halfStep * 1.001);
      });
      const product = Array.from({ length: width }, (_, i) => (x[i] as number) * (found[row * width + i] as number)).reduce(
        (a, b) => a + b,
      );
      expect(y[row]).toBeCloseTo(product, 4);
    }
  });

  test.each(['float32', 'bfloat16'] as const)('NF4 in %s is level times scale, to the bit', async dtype => {
    const shape: [number, number] = [96, 64 * 3];
    const { codes, scales, low, step } = nf4Variables('w', shape);
    const graph = new Graph();
    const weight = graph.cast(storageOf('nf4', { name: 'w', shape }).weight(graph, { name: 'w', shape }), dtype);
    const session = await engine.compile(assemble({ main: { graph, outputs: { weight }, effects: [] } }));
    const bytes = (count: number, seed: number) => Uint8Array.from(randomNumbers(count, 0, 256, seed));
    const [packed, units] = [bytes(elementCount(codes.shape), 5), bytes(elementCount(scales.shape), 6)];
    await session.load([
      { name: codes.name, data: packed },
      { name: scales.name, data: units },
      { name: low.name, data: new Float32Array(elementCount(low.shape)) },
      // A power of 2, so that no engine can round a scale differently.
      { name: step.name, data: new Float32Array(elementCount(step.shape)).fill(2 ** -9) },
    ]);
    const { weight: found } = await session.run('main', {});
    await session.dispose();
    const expected = Float32Array.from({ length: elementCount(shape) }, (_, i) => {
      const byte = packed[i >> 1] as number;
      return Math.fround(NF4_LEVELS[i % 2 === 0 ? byte >> 4 : byte & 15] as number) * ((units[Math.floor(i / 64)] as number) / 512);
    });
    expect(found).toEqual(dtype === 'bfloat16' ? toBfloat16(expected) : expected);
  });

  test('a weight that fills no block', async () => {
    const parameter = { name: 'w', shape: [3, 7] } satisfies typeof spec;
    const values = Float32Array.from(randomNumbers(21, -1, 1, 2));
    const { weight: found } = await throughEngine(engine, 'nf4', values, parameter);
    expect(found).toHaveLength(21);
    expect(meanError(found, values)).toBeLessThan(0.08);
  });
});

test('NF4 takes about half a byte a number, int8 one', () => {
  const large = { name: 'w', shape: [1024, 1024] } satisfies typeof spec;
  const bits = (quantize: 'int8' | 'nf4') =>
    (8 *
      storageOf(quantize)
        .variables(large)
        .reduce((sum, v) => sum + byteSize(v), 0)) /
    2 ** 20;
  expect(
    storageOf('nf4', large)
      .variables(large)
      .reduce((sum, v) => sum + 8 * byteSize(v), 0) /
      2 ** 20,
  ).toBeCloseTo(4.129, 2);
  expect(bits('int8')).toBeGreaterThan(8);
});

const tiny = await openTiny('llama');
const attach = (method: MethodName, precision: Precision, changes: Partial<MethodSettings> = {}): Attachment => {
  const settings = settingsOf(changes);
  return placeTrained(methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings)), tiny.model, precision);
};

const numbersOf = (variable: VariableData | undefined): number[] =>
  variable === undefined || variable.data === 'zeros' ? [] : Array.from(variable.data);

describe('a quantized base', () => {
  const run = (method: MethodName, precision: Precision, changes: Partial<TinyRunParams> = {}) => ({
    engine: fastest,
    tiny,
    attachment: attach(method, precision),
    learningRate: 5e-3,
    ...changes,
  });
  const precisions: Precision[] = (['float32', 'bfloat16'] as const).flatMap(dtype =>
    (['int8', 'nf4'] as const).map(quantize => ({ dtype, quantize })),
  );

  /** All of them for one element type of each form, and the first for the other: both forms and both types meet every one. */
  const someOf = <T>({ dtype, quantize }: Precision, all: readonly T[]): readonly T[] =>
    (dtype === 'float32') === (quantize === 'int8') ? all : all.slice(0, 1);

  test.each(precisions)(
    '$quantize, $dtype: spsft, lora, dora and vera learn',
    async precision => {
      for (const method of someOf(precision, ['spsft', 'lora', 'dora', 'vera', 'spsft+lora'] as const)) {
        const losses = await withTinyRun(run(method, precision), own => own.steps(25));
        expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.05);
      }
    },
    120_000,
  );

  test.each(precisions)('$quantize, $dtype: columns and coupled channels learn', async precision => {
    for (const trains of someOf(precision, ['columns', 'coupled'] as const)) {
      const attachment = attach('spsft', precision, { trains });
      const losses = await withTinyRun(run('spsft', precision, { attachment }), own => own.steps(25));
      expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.05);
    }
  });

  test.each(
    (['int8', 'nf4'] as const).flatMap(quantize => (['rows', 'columns', 'coupled'] as const).map(trains => [quantize, trains] as const)),
  )(
    '%s: %s kept outside the weight have the gradients of those inside it',
    async (quantize, trains) => {
      // A base that the form represents exactly: every element is a level of its block.
      const exact = new Map<string, Float32Array>();
      for (const { name, shape } of tiny.model.parameters) {
        const values = await tiny.weights.readFloat32(name);
        const levels = quantize === 'nf4' ? NF4_LEVELS : Array.from({ length: 255 }, (_, i) => (i - 127) / 127);
        exact.set(
          name,
          shape.length === 2
            ? values.map((_, i) => (i % 32 === 0 ? 0.125 : 0.125 * (levels[(i * 7919) % levels.length] as number)))
            : values,
        );
      }
      const source = { tensors: tiny.weights.tensors, readFloat32: async (name: string) => valueFor(exact, name).slice() };
      const own = { ...tiny, weights: source };
      const inPlace = attach('spsft', { dtype: 'float32', quantize: 'none' }, { trains });
      const apart = attach('spsft', { dtype: 'float32', quantize }, { trains });
      const plain = await withTinyRun({ ...run('spsft', FLOAT32), attachment: inPlace, tiny: own }, async inside => {
        const losses = await inside.steps(5);
        return [losses, await inside.snapshot()] as const;
      });
      const held = await withTinyRun({ ...run('spsft', FLOAT32), attachment: apart, tiny: own }, async outside => {
        const losses = await outside.steps(5);
        return [losses, await outside.snapshot()] as const;
      });
      held[0].forEach((loss, i) => {
        expect(loss).toBeCloseTo(plain[0][i] as number, 3);
      });
      for (const { name } of apart.trainables) {
        const [a, b] = [float32Of(valueFor(plain[1], name)), float32Of(valueFor(held[1], name))];
        expect(b).toHaveLength(a.length);
        expect(meanError(a, b)).toBeLessThan(1e-3);
      }
    },
    60_000,
  );

  test.each(['none', 'cheap', 'block'] as const)('recompute %s gives the same losses', async recompute => {
    const precision: Precision = { dtype: 'float32', quantize: 'nf4' };
    const base = await withTinyRun(run('lora', precision), own => own.steps(3));
    const other = await withTinyRun(run('lora', precision, { recompute }), own => own.steps(3));
    other.forEach((loss, i) => {
      expect(loss).toBeCloseTo(base[i] as number, 4);
    });
  });

  test('columns are apart, and zeros in their place', async () => {
    const name = 'model.layers.0.mlp.down_proj.weight';
    const apart = attach('spsft', { dtype: 'float32', quantize: 'int8' }, { trains: 'columns' });
    expect(apart.frozen?.find(variable => variable.name === `${name}.places`)?.shape).toEqual([96]);
    expect(apart.trainables.find(trainable => trainable.name === name)?.shape).toEqual([64, 4]);
    const places = numbersOf([...apart.initial()].find(variable => variable.name === `${name}.places`));
    const encoded = required(apart.storage, 'a storage').encode({ name, data: await tiny.weights.readFloat32(name) });
    const bytes = numbersOf((await encoded.next()).value);
    expect(bytes).toHaveLength(64 * 96);
    const isZero = Array.from({ length: 96 }, (_, column) => bytes.every((code, i) => i % 96 !== column || code === 0));
    expect(isZero).toEqual(places.map(place => place < 4));
  });

  test('single elements are refused', () => {
    expect(() => attach('spsft', { dtype: 'float32', quantize: 'nf4' }, { dependencies: true })).toThrow(/trains single elements/);
  });

  test('full and rosa are refused', () => {
    expect(() => attach('full', { dtype: 'float32', quantize: 'nf4' })).toThrow(TargetError);
    expect(() => attach('rosa', { dtype: 'float32', quantize: 'int8' })).toThrow(TargetError);
  });
});
