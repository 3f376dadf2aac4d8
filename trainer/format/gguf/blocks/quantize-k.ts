/**
 * Converts float32 to K-quants: the inverse of `dequantize-k.ts`. Scales are found by search: several steps near the one that spans a
 * sub-block are tried, each with its levels and a least-squares fit, and the one with the least error is used.
 */
import { halfValues } from '../../float-format.ts';
import { putHalf } from './quantize.ts';

const SUPER_BLOCK = 256;
/** Values per sub-block in Q4_K and Q5_K. */
const AFFINE = 32;
/** Values per sub-block in Q6_K. */
const SYMMETRIC = 16;
/** Largest 6-bit scale or minimum. */
const MAX_SCALE = 63;

const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value));

/** Tried steps relative to the plain one, in levels. Found by experiment: more trials reduce the error by less than one percent. */
const AFFINE_TRIALS = Array.from({ length: 21 }, (_, i) => 0.1 * i - 1);
const SYMMETRIC_TRIALS = Array.from({ length: 19 }, (_, i) => 0.1 * i - 0.9);

/** For each value of a sub-block: distance from the minimum, weight, and weight · value. */
const distances = new Float64Array(AFFINE);
const weights = new Float64Array(AFFINE);
const weighted = new Float64Array(AFFINE);
/** Step and offset of the last fit: value ≈ fit.scale · level − fit.minimum. */
const fit = { scale: 0, minimum: 0 };

/**
 * Fits 32 values with `levels` equal steps from a minimum that is at most zero. Larger values get more weight, since a product sums errors
 * times activations, and large weights contribute to large outputs.
 */
function fitAffine(x: Float32Array, at: number, levels: number): void {
  let low = 0;
  let high = Number.NEGATIVE_INFINITY;
  let squares = 0;
  for (let i = at; i < at + AFFINE; i++) {
    const value = x[i] as number;
    if (value < low) low = value;
    if (value > high) high = value;
    squares += value * value;
  }
  fit.scale = 0;
  fit.minimum = -low;
  if (!(high > low)) return;
  const mean = Math.sqrt(squares / AFFINE);
  let w0 = 0;
  let wx = 0;
  for (let i = 0; i < AFFINE; i++) {
    const value = x[at + i] as number;
    const w = mean + Math.abs(value);
    distances[i] = value - low;
    weights[i] = w;
    weighted[i] = w * value;
    w0 += w;
    wx += w * value;
  }
  let least = Number.POSITIVE_INFINITY;
  for (const trial of AFFINE_TRIALS) {
    const inverse = (levels - 1 + trial) / (high - low);
    let wl = 0;
    let wll = 0;
    let wxl = 0;
    for (let i = 0; i < AFFINE; i++) {
      let level = (inverse * (distances[i] as number) + 0.5) | 0;
      if (level >= levels) level = levels - 1;
      const wOfLevel = (weights[i] as number) * level;
      wl += wOfLevel;
      wll += wOfLevel * level;
      wxl += (weighted[i] as number) * level;
    }
    const determinant = w0 * wll - wl * wl;
    let scale = (w0 * wxl - wx * wl) / determinant;
    let offset = (wll * wx - wl * wxl) / determinant;
    // Equal values above zero are all on one level.
    if (offset > 0 || determinant <= 1e-9 * w0 * wll) {
      offset = 0;
      scale = wxl / wll;
    }
    // Omits the term Σ w x², which is the same for all trials.
    const error = scale * scale * wll + offset * offset * w0 + 2 * (scale * offset * wl - scale * wxl - offset * wx);
    if (!(error < least && scale > 0)) continue;
    least = error;
    fit.scale = scale;
    fit.minimum = -offset;
  }
}

const scales = new Float64Array(16);
const minimums = new Float64Array(8);
const scaleLevels = new Int32Array(16);
const minimumLevels = new Int32Array(8);

/** Q4_K and Q5_K: halves `d` and `dmin`, 12 bytes of scales, for Q5_K 32 bytes of fifth bits, then 128 bytes of low four bits. */
const affineSuperBlocks = (levels: 16 | 32) => {
  const [bytes, low] = levels === 16 ? [144, 16] : [176, 48];
  return (x: Float32Array, at: number, count: number, out: Uint8Array, outAt: number): void => {
    const half = halfValues();
    for (let v = at, b = outAt; v < at + count; v += SUPER_BLOCK, b += bytes) {
      let [mostScale, mostMinimum] = [0, 0];
      for (let s = 0; s < 8; s++) {
        fitAffine(x, v + AFFINE * s, levels);
        scales[s] = fit.scale;
        minimums[s] = fit.minimum;
        mostScale = Math.max(mostScale, fit.scale);
        mostMinimum = Math.max(mostMinimum, fit.minimum);
      }
      const d = half[putHalf(out, b, mostScale / MAX_SCALE)] as number;
      const dmin = half[putHalf(out, b + 2, mostMinimum / MAX_SCALE)] as number;
      for (let s = 0; s < 8; s++) {
        scaleLevels[s] = d === 0 ? 0 : clamp(Math.round((scales[s] as number) / d), 0, MAX_SCALE);
        minimumLevels[s] = dmin === 0 ? 0 : clamp(Math.round((minimums[s] as number) / dmin), 0, MAX_SCALE);
      }
      packScales(out, b + 4);
      out.fill(0, b + 16, b + bytes);
      for (let s = 0; s < 8; s++) {
        const step = d * (scaleLevels[s] as number);
        const offset = dmin * (minimumLevels[s] as number);
        const from = v + AFFINE * s;
        const to = b + low + AFFINE * (s >> 1);
        for (let i = 0; i < AFFINE; i++) {
          const level = step === 0 ? 0 : clamp(Math.round(((x[from + i] as number) + offset) / step), 0, levels - 1);
          out[to + i] = (out[to + i] as number) | ((level & 15) << (4 * (s & 1)));
          if (levels === 32) out[b + 16 + i] = (out[b + 16 + i] as number) | ((level >> 4) << s);
        }
      }
    }
  };
};

/** Packs scales and minimums: the first four of each directly, the others in the top bits and the last four bytes. */
function packScales(out: Uint8Array, at: number): void {
  for (let j = 0; j < 4; j++) {
    const [d, m] = [scaleLevels[j + 4] as number, minimumLevels[j + 4] as number];
    out[at + j] = (scaleLevels[j] as number) | ((d >> 4) << 6);
    out[at + 4 + j] = (minimumLevels[j] as number) | ((m >> 4) << 6);
    out[at + 8 + j] = (d & 15) | ((m & 15) << 4);
  }
}

export const quantizeQ4_K = affineSuperBlocks(16);
export const quantizeQ5_K = affineSuperBlocks(32);

/** The step of 16 values with levels from −32 to 31; it may be negative. Each value is weighted by its square. */
function fitSymmetric(x: Float32Array, at: number): number {
  let extreme = 0;
  for (let i = at; i < at + SYMMETRIC; i++) if (Math.abs(x[i] as number) > Math.abs(extreme)) extreme = x[i] as number;
  if (Math.abs(extreme) < 1e-30) return 0;
  for (let i = 0; i < SYMMETRIC; i++) {
    const value = x[at + i] as number;
    weights[i] = value * value;
    weighted[i] = value * value * value;
  }
  let best = 0;
  let found = 0;
  for (const trial of SYMMETRIC_TRIALS) {
    const inverse = -(32 + trial) / extreme;
    let wxl = 0;
    let wll = 0;
    for (let i = 0; i < SYMMETRIC; i++) {
      // Truncates a positive number.
      let level = ((inverse * (x[at + i] as number) + 64.5) | 0) - 64;
      if (level > 31) level = 31;
      if (level < -32) level = -32;
      wxl += (weighted[i] as number) * level;
      wll += (weights[i] as number) * level * level;
    }
    // The least-squares error is Σ w x² − (Σ w x l)² / Σ w l².
    const gain = wll > 0 ? (wxl * wxl) / wll : 0;
    if (gain <= best) continue;
    best = gain;
    found = wxl / wll;
  }
  return found;
}

/** 128 bytes of low four bits, 64 bytes of high two bits, 16 signed scales, a half `d`: d · scale · (q − 32). */
export function quantizeQ6_K(x: Float32Array, at: number, count: number, out: Uint8Array, outAt: number): void {
  const half = halfValues();
  for (let v = at, b = outAt; v < at + count; v += SUPER_BLOCK, b += 210) {
    let extreme = 0;
    for (let s = 0; s < 16; s++) {
      const scale = fitSymmetric(x, v + SYMMETRIC * s);
      scales[s] = scale;
      if (Math.abs(scale) > Math.abs(extreme)) extreme = scale;
    }
    // The scale with the largest magnitude becomes −128, which has no positive counterpart.
    const d = half[putHalf(out, b + 208, extreme / -128)] as number;
    out.fill(0, b, b + 192);
    for (let s = 0; s < 16; s++) {
      const scale = d === 0 ? 0 : clamp(Math.round((scales[s] as number) / d), -128, 127);
      out[b + 192 + s] = scale;
      const step = d * scale;
      const part = s >> 1;
      const low = b + 64 * (part >> 2) + 32 * (part & 1);
      const high = b + 128 + 32 * (part >> 2);
      for (let i = 0; i < SYMMETRIC; i++) {
        const value = x[v + SYMMETRIC * s + i] as number;
        const level = (step === 0 ? 0 : clamp(Math.round(value / step), -32, 31)) + 32;
        const to = i + SYMMETRIC * (s & 1);
        out[low + to] = (out[low + to] as number) | ((level & 15) << (2 * (part & 2)));
        out[high + to] = (out[high + to] as number) | ((level >> 4) << (2 * (part & 3)));
      }
    }
  }
}
