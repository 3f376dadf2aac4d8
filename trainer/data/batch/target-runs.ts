/** Groups the targets of a batch by sample: the targets of a sample are contiguous and in order. */
import type { TokenBatch } from './batches.ts';

/**
 * [samples + 1] the index of each sample's first target among the targets of all samples; the last entry is the total.
 * @param counts targets of each sample
 */
export function targetStarts(counts: Iterable<number>, samples: number): Float64Array {
  const starts = new Float64Array(samples + 1);
  let sample = 0;
  for (const count of counts) {
    starts[sample + 1] = (starts[sample] as number) + count;
    sample++;
  }
  return starts;
}

export interface TargetRun {
  /** Index of the run's first target in the batch. */
  readonly begin: number;
  /** Index of the run's first target among the targets of all samples. */
  readonly first: number;
  readonly count: number;
}

/** Yields the targets of each sample of a batch. @param sampleOf maps a sample of the batch to its index in `starts` */
export function* targetRuns(
  { targetSamples, targetCount }: Pick<TokenBatch, 'targetSamples' | 'targetCount'>,
  starts: Float64Array,
  sampleOf = (sample: number): number => sample,
): Generator<TargetRun> {
  for (let begin = 0; begin < targetCount; ) {
    const sample = sampleOf(targetSamples[begin] as number);
    const first = starts[sample] as number;
    const count = (starts[sample + 1] as number) - first;
    yield { begin, first, count };
    begin += count;
  }
}
