/** Reads the result of a part of a run from the run's folder. */
import { linesOfMetric } from '../run/metrics-file.ts';
import { type RunState, readRunState } from '../run/run-state.ts';
import type { Segment, SegmentResult } from './sweep-schedule.ts';

/** Returns the values of the metric at each evaluation during training, in order. @param key the metric's name in metrics.jsonl */
export async function readEvaluations(runDir: string, key: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { step = 0, [key]: value } of linesOfMetric(runDir, key)) if (step > 0 && value !== undefined) found.push(value);
  return found;
}

/**
 * Returns the result; undefined if it is unknown: the run has not made that many evaluations, or was killed before it saved.
 * @param key the metric's name in metrics.jsonl
 */
export async function readSegmentResult(runDir: string, { until }: Segment, key: string): Promise<SegmentResult | undefined> {
  const state = await readRunState(runDir);
  if (state === undefined) return undefined;
  return segmentResult(state, await readEvaluations(runDir, key), until, key);
}

export function segmentResult(
  state: Pick<RunState, 'state' | 'metrics'>,
  evaluations: readonly number[],
  until: Segment['until'],
  key: string,
): SegmentResult | undefined {
  const isFinished = state.state === 'finished';
  const value = until === 'end' ? undefined : evaluations[until - 1];
  // Later evaluations exist only if this part of the run is complete.
  if (until !== 'end' && evaluations.length > until) return { value, ended: false };
  // The metrics of a finished run are those of the checkpoint that it delivers.
  if (isFinished) return { value: state.metrics?.[key], ended: true };
  return state.state === 'stopped' && value !== undefined ? { value, ended: false } : undefined;
}
