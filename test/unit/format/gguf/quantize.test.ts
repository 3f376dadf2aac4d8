/** Compares every quantizer with ggml's own: the same bytes if there is only one answer, and no larger error if scales are searched. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { GGUF_TYPES, type GgufType } from '../../../../trainer/format/gguf/gguf-types.ts';
import { required } from '../../../../trainer/narrow.ts';
import { readGoldenJson } from '../../../support/files/read-json.ts';

const fixtureForm = z.object({
  values: z.string(),
  bytes: z.record(z.string(), z.string()),
  errors: z.record(z.string(), z.number()),
});
const fixture = readGoldenJson('gguf/quantize.json', fixtureForm);
const values = new Float32Array(new Uint8Array(Buffer.from(fixture.values, 'hex')).buffer);
const types = [...GGUF_TYPES.values()].filter(type => type.quantize !== undefined);
const named = (name: string): GgufType =>
  required(
    types.find(type => type.name === name),
    name,
  );

function quantize(type: GgufType, x: Float32Array): Uint8Array {
  const out = new Uint8Array((x.length / type.blockElements) * type.blockBytes);
  type.quantize?.(x, 0, x.length, out, 0);
  return out;
}

function dequantize(type: GgufType, bytes: Uint8Array): Float32Array {
  const out = new Float32Array((bytes.length / type.blockBytes) * type.blockElements);
  type.dequantize?.(bytes, 0, out, 0, out.length);
  return out;
}

const root = (x: Iterable<number>): number => {
  let [sum, count] = [0, 0];
  for (const value of x) [sum, count] = [sum + value * value, count + 1];
  return Math.sqrt(sum / count);
};
/** Root mean square error relative to the values. */
const errorOf = (type: GgufType, x: Float32Array): number => {
  const back = dequantize(type, quantize(type, x));
  return root(x.map((value, i) => value - (back[i] as number))) / root(x);
};

test('the fixture has all that is written', () => {
  expect(types.map(({ name }) => name).sort()).toEqual(['F32', ...Object.keys(fixture.bytes), ...Object.keys(fixture.errors)].sort());
});

describe.each(Object.entries(fixture.bytes))('%s', (name, bytes) => {
  test('gives the bytes of ggml', () => {
    expect(Buffer.from(quantize(named(name), values)).toString('hex')).toBe(bytes);
  });
});

/** Maximum error relative to ggml's search; a much smaller error would indicate a mistake in the measurement. */
const NO_WORSE = 1.02;

describe.each(Object.entries(fixture.errors))('%s', (name, theirs) => {
  const type = named(name);

  test('errs no more than ggml', () => {
    expect(errorOf(type, values)).toBeLessThan(NO_WORSE * theirs);
    expect(errorOf(type, values)).toBeGreaterThan(0.9 * theirs);
  });

  test('zeros stay zeros, and numbers that are levels already keep their value', () => {
    expect([...dequantize(type, quantize(type, new Float32Array(256)))].every(value => Object.is(Math.abs(value), 0))).toBe(true);
    const levels = dequantize(type, quantize(type, values));
    const again = dequantize(type, quantize(type, levels));
    expect(root(levels.map((value, i) => value - (again[i] as number)))).toBeLessThan(0.2 * errorOf(type, values) * root(values));
  });
});

test.each(types)('$name writes in its place and nowhere else', type => {
  const count = 2 * Math.max(type.blockElements, 32);
  const size = (count / type.blockElements) * type.blockBytes;
  const out = new Uint8Array(size + 6).fill(170);
  type.quantize?.(values, 256, count, out, 3);
  expect([...out.subarray(0, 3), ...out.subarray(size + 3)]).toEqual(Array(6).fill(170));
  expect(out.subarray(3, size + 3)).toEqual(quantize(type, values.slice(256, 256 + count)));
});
