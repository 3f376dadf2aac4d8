/** float32 ⇄ bfloat16 and IEEE half, as bits in Uint16Array. Uses plain loops: this is the inner loop of loading a model. */

/** bfloat16 is the upper half of a float32. `out` and `bits` have the same length. */
export function bf16ToFloat32(bits: Uint16Array, out: Float32Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
}

let halfTable: Float32Array | undefined;

/** All 65536 half values as float32: 256 KB, computed on first use. Also used for the scales of quantized blocks. */
export function halfValues(): Float32Array {
  if (halfTable !== undefined) return halfTable;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  halfTable = table;
  return table;
}

/** Converts IEEE halves. `out` and `bits` have the same length. */
export function f16ToFloat32(bits: Uint16Array, out: Float32Array): void {
  const table = halfValues();
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i] as number] as number;
}

/** Rounds to the nearest bfloat16, ties to even, like PyTorch; every NaN becomes the quiet NaN 0x7fc0 with its sign. */
export function float32ToBf16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = wordsOf(values);
  for (let i = 0; i < words.length; i++) {
    const w = words[i] as number;
    out[i] = (w & 0x7fffffff) > 0x7f800000 ? ((w >>> 16) & 0x8000) | 0x7fc0 : (w + 0x7fff + ((w >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** Rounds to the nearest half, ties to even; values that are too large become infinity, NaN becomes the quiet NaN 0x7e00 with its sign. */
export function float32ToF16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = wordsOf(values);
  for (let i = 0; i < words.length; i++) out[i] = halfBits(words[i] as number);
  return out;
}

function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  const shift = 126 - (magnitude >>> 23); // below 2^-14 the half is subnormal: a multiple of 2^-24
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Converts float32 values to bytes of another floating-point type, rounded to nearest, ties to even. */
export function encodeFloat32(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  const stored = dtype === 'F32' ? values : dtype === 'F16' ? float32ToF16(values) : float32ToBf16(values);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}
