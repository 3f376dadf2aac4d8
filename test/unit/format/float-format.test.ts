/** Tests conversions between float32 and half or bfloat16: every bit pattern survives, and rounding is to nearest, ties to even. */
import { describe, expect, test } from 'vitest';
import { bf16ToFloat32, f16ToFloat32, float32ToBf16, float32ToF16 } from '../../../trainer/format/float-format.ts';

const everyPattern = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isNaN16 = (bits: number, exponentMask: number, fractionMask: number): boolean =>
  (bits & exponentMask) === exponentMask && (bits & fractionMask) !== 0;

describe.each([
  { name: 'half', decode: f16ToFloat32, encode: float32ToF16, exponent: 0x7c00, fraction: 0x3ff },
  { name: 'bfloat16', decode: bf16ToFloat32, encode: float32ToBf16, exponent: 0x7f80, fraction: 0x7f },
])('$name', ({ decode, encode, exponent, fraction }) => {
  const values = new Float32Array(65536);
  decode(everyPattern, values);

  test('every pattern survives the way to float32 and back', () => {
    const back = encode(values);
    const wrong = everyPattern.filter(bits => back[bits] !== bits && !isNaN16(bits, exponent, fraction));
    expect([...wrong]).toEqual([]);
  });

  test('NaN stays NaN', () => {
    const bits = encode(new Float32Array([Number.NaN]))[0] ?? 0;
    expect(isNaN16(bits, exponent, fraction)).toBe(true);
  });

  test('a value between two neighbors goes to the nearer one, and from the middle to the even one', () => {
    for (let bits = 0; bits < exponent - 1; bits += 7) {
      const low = values[bits] ?? 0;
      const high = values[bits + 1] ?? 0;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const between = new Float32Array([low + (high - low) * 0.25, low + (high - low) * 0.5, low + (high - low) * 0.75]);
      expect([...encode(between)]).toEqual([bits, even, bits + 1]);
    }
  });

  test('what is too large becomes infinity', () => {
    expect([...encode(new Float32Array([3.4e38, -3.4e38, Number.POSITIVE_INFINITY]))]).toEqual([exponent, exponent | 0x8000, exponent]);
  });
});

test('half: the smallest values', () => {
  const values = new Float32Array([2 ** -24, 2 ** -25, 2 ** -25 * 1.001, 2 ** -26, -(2 ** -14), 65519.99, 65520]);
  expect([...float32ToF16(values)]).toEqual([1, 0, 1, 0, 0x8400, 0x7bff, 0x7c00]);
});
