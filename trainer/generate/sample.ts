/** Chooses the next token from logits: greedily, or by sampling with temperature, top-k and top-p, in Transformers' order. Pure. */
import { lastOf } from '../narrow.ts';
import type { Random } from '../random.ts';

export interface SamplingSettings {
  /** 0 means greedy decoding. */
  readonly temperature: number;
  /** Keeps this many of the most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keeps the most likely tokens that together reach this probability; 1 keeps all. */
  readonly topP: number;
}

/** One token with its probability after all restrictions; the probabilities sum to 1. */
export interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/** @returns the next token's id; draws from `random` once, or not at all at temperature 0 */
export function sampleToken(logits: Float32Array, settings: SamplingSettings, random: Random): number {
  if (settings.temperature === 0) return likeliest(logits);
  const kept = candidates(logits, settings);
  let left = random.uniform();
  for (const { id, probability } of kept) {
    left -= probability;
    if (left < 0) return id;
  }
  return lastOf(kept).id;
}

/** The id of the largest logit, the first among equals. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}

/**
 * The tokens that may be drawn, most likely first (among equals, the lower id). Applies temperature, then top-k, then top-p to the rest.
 */
export function candidates(logits: Float32Array, { temperature, topK, topP }: SamplingSettings): Candidate[] {
  const order = byLikelihood(logits);
  const first = normalized(topK > 0 ? order.subarray(0, topK) : order, logits, temperature);
  let sum = 0;
  const enough = first.findIndex(({ probability }) => {
    sum += probability;
    return sum >= topP;
  });
  if (topP >= 1 || enough < 0) return first;
  return first.slice(0, enough + 1).map(({ id, probability }) => ({ id, probability: probability / sum }));
}

/**
 * All ids, most likely first, the lower id first among equals. A sort of plain numbers takes a quarter of the time of a sort by a function:
 * each is the rank of a logit among all float32 values, followed by the id. They are exact for up to 2^21 ids, twice the most that a model
 * may have.
 */
function byLikelihood(logits: Float32Array): Int32Array {
  const count = logits.length;
  const bits = new Int32Array(logits.slice().buffer);
  const keys = new Float64Array(count);
  for (let id = 0; id < count; id++) {
    const value = logits[id] === 0 ? 0 : (bits[id] as number);
    // The bits of negative numbers grow with their magnitude.
    keys[id] = (0x7fffffff - (value < 0 ? value ^ 0x7fffffff : value)) * count + id;
  }
  keys.sort();
  const ids = new Int32Array(count);
  for (let i = 0; i < count; i++) ids[i] = (keys[i] as number) % count;
  return ids;
}

/** Softmax over the given tokens, sorted so that the first has the largest logit. */
function normalized(ids: Int32Array, logits: Float32Array, temperature: number): Candidate[] {
  const largest = logits[ids[0] ?? 0] as number;
  const weights = Array.from(ids, id => Math.exp(((logits[id] as number) - largest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight, i) => ({ id: ids[i] as number, probability: weight / total }));
}
