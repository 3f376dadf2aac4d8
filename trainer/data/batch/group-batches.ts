/** Batches of texts that are compared with each other. The texts of a sample are in neighboring rows, its anchor first. */
import type { TextGroup } from '../text-groups/load-groups.ts';
import type { BatchPlan } from './batch-plan.ts';
import type { BatchSource } from './batches.ts';
import { fillTexts } from './text-batches.ts';

export interface GroupSourceParams {
  /** A plan whose batches have `rowsPerSample` rows for each sample; a sample is as long as its longest text. */
  readonly plan: BatchPlan;
  readonly groups: readonly TextGroup[];
  readonly rowsPerSample: number;
  readonly padId: number;
  /** Whether feeds mark the tokens of the second part of a text. */
  readonly types: boolean;
}

/**
 * Returns a source whose feeds are those of texts, [batch, tokens]; `weights` [samples], 1 / the samples of the update, or 0 for a missing
 * sample; and `scores` [samples].
 */
export function groupSource({ plan, groups, rowsPerSample, padId, types }: GroupSourceParams): BatchSource {
  const examples = groups.flatMap(({ texts, secondAts }) => texts.map((ids, i) => ({ ids, secondAt: secondAts?.[i] ?? ids.length })));
  return {
    plan,
    fill: planned => {
      const sampleIndices = planned.rows.flatMap(row => row.sequences);
      const sequences = sampleIndices.flatMap(sample => Array.from({ length: rowsPerSample }, (_, side) => sample * rowsPerSample + side));
      const { feeds, tokenCount, bucket } = fillTexts(
        { examples, padId, types },
        { ...planned, rows: [{ sequences, length: 0, targets: 0 }] },
      );
      const samples = bucket.batch / rowsPerSample;
      const scores = new Float32Array(samples);
      scores.set(sampleIndices.map(sample => groups[sample]?.score ?? 0));
      return {
        bucket,
        sampleIndices,
        tokenCount,
        targetCount: sampleIndices.length,
        feeds: of => ({ ...feeds, scores, weights: new Float32Array(samples).fill(1 / of, 0, sampleIndices.length) }),
      };
    },
  };
}
