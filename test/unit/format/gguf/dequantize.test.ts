/** Compares every block type with gguf's own `quants.dequantize`, bit for bit. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { GGUF_TYPES } from '../../../../trainer/format/gguf/gguf-types.ts';
import { readGoldenJson } from '../../../support/files/read-json.ts';

const fixture = readGoldenJson('gguf/quants.json', z.record(z.string(), z.object({ bytes: z.string(), values: z.string() })));
const readable = [...GGUF_TYPES.values()].filter(type => type.dequantize !== undefined);

test('the fixture has every type that is read', () => {
  expect(readable.map(type => type.name).sort()).toEqual(Object.keys(fixture).sort());
});

describe.each(readable)('$name', type => {
  const { bytes, values } = fixture[type.name] ?? { bytes: '', values: '' };
  const stored = new Uint8Array(Buffer.from(bytes, 'hex'));
  const count = (stored.length / type.blockBytes) * type.blockElements;

  test('gives the same bits as the reference, wherever the blocks lie', () => {
    const shifted = new Uint8Array(stored.length + 3);
    shifted.set(stored, 3);
    const out = new Float32Array(count + 5);
    type.dequantize?.(shifted, 3, out, 5, count);
    expect(Buffer.from(out.buffer, 20).toString('hex')).toBe(values);
    expect([...out.subarray(0, 5)]).toEqual([0, 0, 0, 0, 0]);
  });
});
