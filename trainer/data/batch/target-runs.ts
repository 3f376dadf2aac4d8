/** The targets of a batch by sample: those of one stand together, in their order. */
import type { TokenBatch } from './batches.ts';

/** [samples + 1] the place of the first target of each sample among the targets of all, and their number. @param counts targets of each */
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
  /** The place of its first target in the batch. */
  readonly begin: number;
  /** The same among the targets of all samples. */
  readonly first: number;
  readonly count: number;
}

/** @param sampleOf the sample of `starts` that a sample of the batch is */
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
