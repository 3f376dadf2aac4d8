/**
 * Converts float32 to blocks of 32 (Q4_0 to Q8_0) and to plain elements: the inverse of `dequantize.ts`. It rounds like ggml's own
 * quantizers, so the bytes are identical.
 */
import { encodeFloat32, float32ToF16 } from '../../float-format.ts';

const BLOCK = 32;
const one = new Float32Array(1);
const oneHalf = new Uint16Array(1);

/** Writes the half nearest to `value` and returns its bits. */
export function putHalf(out: Uint8Array, at: number, value: number): number {
  one[0] = value;
  const bits = float32ToF16(one, oneHalf)[0] as number;
  out[at] = bits & 255;
  out[at + 1] = bits >> 8;
  return bits;
}

const plain =
  (dtype: 'F32' | 'F16' | 'BF16') =>
  (values: Float32Array, at: number, count: number, out: Uint8Array, outAt: number): void =>
    out.set(encodeFloat32(values.subarray(at, at + count), dtype), outAt);

export const quantizeF32 = plain('F32');
export const quantizeF16 = plain('F16');
export const quantizeBf16 = plain('BF16');

const inverse = (d: number): number => (d === 0 ? 0 : Math.fround(1 / d));

/** The value with the largest magnitude, with its sign; the first of several. */
function extreme(values: Float32Array, at: number): number {
  let [found, magnitude] = [0, 0];
  for (let i = at; i < at + BLOCK; i++) {
    const value = values[i] as number;
    if (Math.abs(value) > magnitude) [found, magnitude] = [value, Math.abs(value)];
  }
  return found;
}

/** The minimum and maximum. */
function range(values: Float32Array, at: number): readonly [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = at; i < at + BLOCK; i++) {
    const value = values[i] as number;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Symmetric blocks: the value with the largest magnitude becomes the lowest level exactly: d · (q − levels / 2). */
const symmetric = (levels: 16 | 32) => (values: Float32Array, at: number, count: number, out: Uint8Array, outAt: number) => {
  const bytes = levels === 16 ? 18 : 22;
  for (let v = at, b = outAt; v < at + count; v += BLOCK, b += bytes) {
    const d = Math.fround(extreme(values, v) / (-levels / 2));
    const id = inverse(d);
    putHalf(out, b, d);
    putLevels(out, b + 2, levels, i => Math.trunc((values[v + i] as number) * id + (levels / 2 + 0.5)));
  }
};

/** Affine blocks: equal steps over the block's range: d · q + m. */
const affine = (levels: 16 | 32) => (values: Float32Array, at: number, count: number, out: Uint8Array, outAt: number) => {
  const bytes = levels === 16 ? 20 : 24;
  for (let v = at, b = outAt; v < at + count; v += BLOCK, b += bytes) {
    const [low, high] = range(values, v);
    const d = Math.fround(Math.fround(high - low) / (levels - 1));
    const id = inverse(d);
    putHalf(out, b, d);
    putHalf(out, b + 2, low);
    putLevels(out, b + 4, levels, i => Math.trunc(Math.fround(Math.fround(Math.fround((values[v + i] as number) - low) * id) + 0.5)));
  }
};

/** Writes the low four bits of each value; with 32 levels, the fifth bits of all values come first. */
function putLevels(out: Uint8Array, at: number, levels: 16 | 32, level: (i: number) => number): void {
  const to = levels === 32 ? at + 4 : at;
  let high = 0;
  for (let i = 0; i < 16; i++) {
    const low = Math.min(levels - 1, level(i));
    const up = Math.min(levels - 1, level(i + 16));
    out[to + i] = (low & 15) | ((up & 15) << 4);
    high |= ((low >> 4) << i) | ((up >> 4) << (i + 16));
  }
  if (levels === 32) for (let i = 0; i < 4; i++) out[at + i] = (high >>> (8 * i)) & 255;
}

export const quantizeQ4_0 = symmetric(16);
export const quantizeQ5_0 = symmetric(32);
export const quantizeQ4_1 = affine(16);
export const quantizeQ5_1 = affine(32);

/** d · q with q from −127 to 127, rounded half away from zero. */
export function quantizeQ8_0(values: Float32Array, at: number, count: number, out: Uint8Array, outAt: number): void {
  for (let v = at, b = outAt; v < at + count; v += BLOCK, b += 34) {
    const d = Math.fround(Math.abs(extreme(values, v)) / 127);
    const id = inverse(d);
    putHalf(out, b, d);
    for (let i = 0; i < BLOCK; i++) {
      const scaled = Math.fround((values[v + i] as number) * id);
      out[b + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    }
  }
}

/** Twice the values of the first eight codes of E2M1; the others are their negatives. */
const TWICE_E2M1 = [0, 1, 2, 3, 4, 6, 8, 12] as const;
/** The exponent of the largest E2M1 value, 6 = 1.5 · 2². */
const LARGEST_EXPONENT = 2;

/**
 * A byte e, then 16 bytes of codes: 2^(e − 127) · E2M1 value, with the scale that the largest value needs. Values that come from such
 * blocks do not change.
 */
export function quantizeMXFP4(values: Float32Array, at: number, count: number, out: Uint8Array, outAt: number): void {
  const half = BLOCK / 2;
  for (let v = at, b = outAt; v < at + count; v += BLOCK, b += 1 + half) {
    const largest = Math.abs(extreme(values, v));
    const e = largest === 0 ? 0 : Math.max(0, Math.floor(Math.log2(largest)) - LARGEST_EXPONENT + 127);
    const scale = 2 ** (e - 128);
    out[b] = e;
    for (let i = 0; i < half; i++)
      out[b + 1 + i] = codeOf((values[v + i] as number) / scale) | (codeOf((values[v + half + i] as number) / scale) << 4);
  }
}

/** The code of the nearest value; ties go to the smaller one. */
function codeOf(twice: number): number {
  const size = Math.abs(twice);
  let code = 0;
  while (code < 7 && size - (TWICE_E2M1[code] as number) > (TWICE_E2M1[code + 1] as number) - size) code++;
  return twice < 0 && code > 0 ? code + 8 : code;
}
