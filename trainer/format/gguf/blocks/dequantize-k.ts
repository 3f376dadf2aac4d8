/** K-quants: super-blocks of 256 values in eight or sixteen sub-blocks, each with its own scale. Layouts are those of ggml's quants. */
import { halfValues } from '../../float-format.ts';

const SUPER_BLOCK = 256;

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

/**
 * Unpacks the eight 6-bit scales and minimums of Q4_K and Q5_K from 12 bytes: the first four of each are stored directly, the others in the
 * top bits and the last four bytes.
 */
function unpackScales(bytes: Uint8Array, at: number, scales: Uint8Array, minimums: Uint8Array): void {
  for (let j = 0; j < 4; j++) {
    const d = bytes[at + j] as number;
    const m = bytes[at + 4 + j] as number;
    const both = bytes[at + 8 + j] as number;
    scales[j] = d & 63;
    minimums[j] = m & 63;
    scales[j + 4] = (both & 15) | ((d >> 2) & 48);
    minimums[j + 4] = (both >> 4) | ((m >> 2) & 48);
  }
}

/**
 * 16 bytes with a 4-bit scale and a 4-bit minimum each, 64 bytes of 2-bit values, halves `d` and `dmin`: d · scale · q − dmin · minimum.
 * Bits 2s of each run of 32 bytes hold sub-blocks 2s and 2s + 1.
 */
export function dequantizeQ2_K(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += SUPER_BLOCK, b += 84) {
    const d = half[u16(bytes, b + 80)] as number;
    const dmin = half[u16(bytes, b + 82)] as number;
    for (let part = 0; part < 16; part++) {
      const both = bytes[b + part] as number;
      const [scale, minimum] = [d * (both & 15), dmin * (both >> 4)];
      const from = b + 16 + 32 * (part >> 3) + 16 * (part & 1);
      const shift = part & 6;
      for (let i = 0; i < 16; i++) out[o + 16 * part + i] = scale * (((bytes[from + i] as number) >> shift) & 3) - minimum;
    }
  }
}

/**
 * 32 bytes of third bits, 64 bytes of low 2 bits as in Q2_K, 12 bytes of sixteen 6-bit scales (low four bits first, then the high two), a
 * half `d`: d · (scale − 32) · (q − 4).
 */
export function dequantizeQ3_K(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += SUPER_BLOCK, b += 110) {
    const d = half[u16(bytes, b + 108)] as number;
    for (let part = 0; part < 16; part++) {
      const low = ((bytes[b + 96 + (part & 7)] as number) >> (part & 8 ? 4 : 0)) & 15;
      const high = ((bytes[b + 104 + (part & 3)] as number) >> (2 * (part >> 2))) & 3;
      const scale = d * ((low | (high << 4)) - 32);
      const [from, mask] = [b + 32 + 32 * (part >> 3) + 16 * (part & 1), b + 16 * (part & 1)];
      const [shift, bit] = [part & 6, part >> 1];
      for (let i = 0; i < 16; i++) {
        const q = (((bytes[from + i] as number) >> shift) & 3) | ((((bytes[mask + i] as number) >> bit) & 1) << 2);
        out[o + 16 * part + i] = scale * (q - 4);
      }
    }
  }
}

/** Halves `d` and `dmin`, 12 bytes of scales, 128 bytes of 4-bit values: d · scale · q − dmin · minimum. */
export function dequantizeQ4_K(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  const scales = new Uint8Array(8);
  const minimums = new Uint8Array(8);
  for (let o = outAt, b = at; o < outAt + count; o += SUPER_BLOCK, b += 144) {
    const d = half[u16(bytes, b)] as number;
    const dmin = half[u16(bytes, b + 2)] as number;
    unpackScales(bytes, b + 4, scales, minimums);
    for (let pair = 0; pair < 4; pair++) {
      const d0 = d * (scales[2 * pair] as number);
      const m0 = dmin * (minimums[2 * pair] as number);
      const d1 = d * (scales[2 * pair + 1] as number);
      const m1 = dmin * (minimums[2 * pair + 1] as number);
      const from = b + 16 + 32 * pair;
      const to = o + 64 * pair;
      for (let i = 0; i < 32; i++) {
        const q = bytes[from + i] as number;
        out[to + i] = d0 * (q & 15) - m0;
        out[to + i + 32] = d1 * (q >> 4) - m1;
      }
    }
  }
}

/** Like Q4_K, with 32 bytes of fifth bits before the 4-bit values; bit s of byte i belongs to value i of sub-block s. */
export function dequantizeQ5_K(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  const scales = new Uint8Array(8);
  const minimums = new Uint8Array(8);
  for (let o = outAt, b = at; o < outAt + count; o += SUPER_BLOCK, b += 176) {
    const d = half[u16(bytes, b)] as number;
    const dmin = half[u16(bytes, b + 2)] as number;
    unpackScales(bytes, b + 4, scales, minimums);
    for (let pair = 0; pair < 4; pair++) {
      const d0 = d * (scales[2 * pair] as number);
      const m0 = dmin * (minimums[2 * pair] as number);
      const d1 = d * (scales[2 * pair + 1] as number);
      const m1 = dmin * (minimums[2 * pair + 1] as number);
      const from = b + 48 + 32 * pair;
      const to = o + 64 * pair;
      for (let i = 0; i < 32; i++) {
        const q = bytes[from + i] as number;
        const high = (bytes[b + 16 + i] as number) >> (2 * pair);
        out[to + i] = d0 * ((q & 15) | ((high & 1) << 4)) - m0;
        out[to + i + 32] = d1 * ((q >> 4) | ((high & 2) << 3)) - m1;
      }
    }
  }
}

/** 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, a half `d`: d · scale · (q − 32). */
export function dequantizeQ6_K(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += SUPER_BLOCK, b += 210) {
    const d = half[u16(bytes, b + 208)] as number;
    for (let part = 0; part < 8; part++) {
      const low = b + 64 * (part >> 2) + 32 * (part & 1);
      const lowShift = (part & 2) << 1;
      const high = b + 128 + 32 * (part >> 2);
      const highShift = 2 * (part & 3);
      const to = o + 32 * part;
      for (let i = 0; i < 32; i++) {
        const scale = ((bytes[b + 192 + 2 * part + (i >> 4)] as number) << 24) >> 24;
        const q = (((bytes[low + i] as number) >> lowShift) & 15) | ((((bytes[high + i] as number) >> highShift) & 3) << 4);
        out[to + i] = d * scale * (q - 32);
      }
    }
  }
}
