/** What a worker takes beside tensors: a law of four numbers for each engine, fitted to measurements (`npm run bench -- --memory`). */
import type { EngineName } from '../protocol/recipe-schema.ts';

interface OverheadLaw {
  /** Node, the engine's code and its first kernels: a worker before its model, and after one step of a model of no size. */
  readonly workerBytes: number;
  /** Tokenizer and what else grows with the vocabulary. */
  readonly bytesPerToken: number;
  /** Of a compiled node, in all copies. */
  readonly bytesPerNode: number;
  /** What the allocator holds and cannot use, as a share of all tensors at their most: holes, and what loading left. */
  readonly allocatorShare: number;
}

/**
 * TensorFlow 2.21 on the CPU: the resident memory at the peak of a step less variables and tensors alive, over 22 configurations from 0 to
 * 3.2 GB of tensors and 1200 to 33 000 nodes, is this within 4.5% of the peak, 1.4% in the median. Of the worker's bytes 320 MB are pages of
 * code that are read from files. The tokenizer's share is of SmolLM2 (49 000 tokens, 34 MB) and MiniLM (30 500, 17 MB). The portable engine
 * interprets nodes, and its tensors lie in WebAssembly's heap, which grows in steps, never shrinks and is copied as it grows: three models.
 */
const LAWS: Readonly<Record<EngineName, OverheadLaw>> = {
  tensorflow: { workerBytes: 380e6, bytesPerToken: 700, bytesPerNode: 6800, allocatorShare: 0.09 },
  portable: { workerBytes: 137e6, bytesPerToken: 700, bytesPerNode: 500, allocatorShare: 1.2 },
};

export interface OverheadParams {
  readonly engine: EngineName;
  /** Of all signatures, with those that load and read variables. */
  readonly nodes: number;
  /** Variables, and the most activations. */
  readonly tensorBytes: number;
  readonly vocabularySize: number;
}

export const tokenizerBytes = (vocabularySize: number, engine: EngineName): number => LAWS[engine].bytesPerToken * vocabularySize;

export function engineOverheadBytes({ engine, nodes, tensorBytes, vocabularySize }: OverheadParams): number {
  const law = LAWS[engine];
  return Math.round(law.workerBytes + tokenizerBytes(vocabularySize, engine) + law.bytesPerNode * nodes + law.allocatorShare * tensorBytes);
}
