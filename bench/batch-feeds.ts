/** Feeds one batch of any model with fixed values, the same as `batch_of` in peers/pytorch_peft.py. */
import type { Signature } from '../trainer/graph/program.ts';
import { elementCount, type HostArray } from '../trainer/graph/types.ts';
import type { AnyModel } from '../trainer/model/model-spec.ts';
import type { BatchShape } from '../trainer/train/task.ts';

/** Returns the feeds: every token of a row except the first is a target, every sample has a label, and there is no padding. */
export function batchFeeds({ feeds }: Signature, model: AnyModel, { batch, tokens, targets }: BatchShape): Record<string, HostArray> {
  const input = model.kind === 'causal' ? model : model.input;
  const vocabulary = 'vocabularySize' in input ? input.vocabularySize : 1;
  const labels = model.kind === 'causal' ? 1 : model.labels.length;
  const idAt = (i: number): number => (i * 7919 + 13) % vocabulary;
  const positions = Int32Array.from({ length: batch * tokens }, (_, i) => i).filter(i => i % tokens < tokens - 1);
  const values: Readonly<Record<string, (count: number) => HostArray>> = {
    ids: count => Int32Array.from({ length: count }, (_, i) => idAt(i)),
    targetPositions: count => positions.slice(0, count),
    targetIds: count => positions.slice(0, count).map(i => idAt(i + 1)),
    targetWeights: count => new Float32Array(count).fill(1 / targets),
    segments: count => new Int32Array(count).fill(1),
    positions: count => Int32Array.from({ length: count }, (_, i) => i % tokens),
    seen: count => new Float32Array(count).fill(1),
    types: count => new Int32Array(count),
    pixels: count => Float32Array.from({ length: count }, (_, i) => ((i * 37) % 200) / 100 - 1),
    labels: count => Int32Array.from({ length: count }, (_, i) => i % labels),
    scores: count => new Float32Array(count),
    weights: count => new Float32Array(count).fill(1 / batch),
    teacherIds: count => Int32Array.from({ length: count }, (_, i) => i % vocabulary),
    teacherLogs: count => new Float32Array(count).fill(-Math.log(count / targets)),
  };
  return Object.fromEntries(
    feeds.flatMap(({ attrs: { name, spec } }) => {
      const value = values[name];
      return value ? [[name, value(elementCount(spec.shape))]] : [];
    }),
  );
}
