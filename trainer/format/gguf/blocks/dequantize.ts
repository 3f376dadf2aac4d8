/**
 * Converts blocks of 32 (Q4_0 to Q8_0) and plain elements to float32. Layouts are those of ggml's quants. Each value is computed exactly in
 * double precision and rounded once, which gives the same bits as the float32 reference.
 */
import { halfValues } from '../../float-format.ts';

const BLOCK = 32;
const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

export function dequantizeF32(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  new Uint8Array(out.buffer, out.byteOffset + outAt * 4, count * 4).set(bytes.subarray(at, at + count * 4));
}

export function dequantizeF16(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let i = 0; i < count; i++) out[outAt + i] = half[u16(bytes, at + 2 * i)] as number;
}

export function dequantizeBf16(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  for (let i = 0; i < count; i++) {
    wordBits[0] = u16(bytes, at + 2 * i) << 16;
    out[outAt + i] = word[0] as number;
  }
}

/** A half `d`, then 16 bytes; byte i holds values i (low bits) and i + 16 (high bits): d · (q − 8). */
export function dequantizeQ4_0(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += BLOCK, b += 18) {
    const d = half[u16(bytes, b)] as number;
    for (let i = 0; i < 16; i++) {
      const q = bytes[b + 2 + i] as number;
      out[o + i] = d * ((q & 15) - 8);
      out[o + i + 16] = d * ((q >> 4) - 8);
    }
  }
}

/** Halves `d` and `m`, then as in Q4_0: d · q + m. */
export function dequantizeQ4_1(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += BLOCK, b += 20) {
    const d = half[u16(bytes, b)] as number;
    const m = half[u16(bytes, b + 2)] as number;
    for (let i = 0; i < 16; i++) {
      const q = bytes[b + 4 + i] as number;
      out[o + i] = d * (q & 15) + m;
      out[o + i + 16] = d * (q >> 4) + m;
    }
  }
}

/** A half `d`, 32 fifth bits, then as in Q4_0: d · (q − 16). */
export function dequantizeQ5_0(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += BLOCK, b += 22) {
    const d = half[u16(bytes, b)] as number;
    const high = u16(bytes, b + 2) | (u16(bytes, b + 4) << 16);
    for (let i = 0; i < 16; i++) {
      const q = bytes[b + 6 + i] as number;
      out[o + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
      out[o + i + 16] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
    }
  }
}

/** Halves `d` and `m`, 32 fifth bits, then as in Q4_0: d · q + m. */
export function dequantizeQ5_1(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += BLOCK, b += 24) {
    const d = half[u16(bytes, b)] as number;
    const m = half[u16(bytes, b + 2)] as number;
    const high = u16(bytes, b + 4) | (u16(bytes, b + 6) << 16);
    for (let i = 0; i < 16; i++) {
      const q = bytes[b + 8 + i] as number;
      out[o + i] = d * ((q & 15) | (((high >>> i) & 1) << 4)) + m;
      out[o + i + 16] = d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
    }
  }
}

/** A half `d`, then 32 signed bytes: d · q. */
export function dequantizeQ8_0(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += BLOCK, b += 34) {
    const d = half[u16(bytes, b)] as number;
    for (let i = 0; i < BLOCK; i++) out[o + i] = d * (((bytes[b + 2 + i] as number) << 24) >> 24);
  }
}
