/** Memory by cause, predicted beside measured. */
import { byteSize } from '../../trainer/protocol/format.ts';
import type { MemoryPlan } from '../../trainer/protocol/view/run.ts';
import type { CurveColor } from '../shared/series/curve-look.ts';

export interface MemoryRow {
  readonly cause: string;
  readonly color: CurveColor;
  readonly predicted: number;
  /** Undefined before anything was measured, or on a device whose memory the process does not hold. */
  readonly measured: number | undefined;
  readonly note: string;
}

/**
 * What its tensors hold from the first step to the last is what the process grew by while they were loaded; a run of an older version has not
 * looked, and their shapes tell. Nothing tells activations from the rest of the peak, which is named so.
 * @param peakBytes the highest peak of training
 */
export function memoryRows({ predicted, device, baselineBytes, held }: MemoryPlan, peakBytes: number | undefined): MemoryRow[] {
  const { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, offloadedBytes = 0, activationBytes, engineOverheadBytes } = predicted;
  const kept = held ?? predicted;
  const keptBytes = kept.weightsBytes + kept.trainedBytes + kept.gradientBytes + kept.optimizerBytes;
  const total = device === 'cpu' ? peakBytes : undefined;
  const of = (bytes: number): number | undefined => (total === undefined ? undefined : bytes);
  const rest = total === undefined ? undefined : Math.max(0, total - baselineBytes - keptBytes);
  const how = held ? 'measured: by so much the process grew with them' : 'by their shapes';
  return [
    {
      cause: 'Engine',
      color: 'lines',
      predicted: engineOverheadBytes,
      measured: of(baselineBytes),
      note: 'measured: the process before the model came',
    },
    { cause: 'Weights', color: 'blue', predicted: weightsBytes, measured: of(kept.weightsBytes), note: how },
    {
      cause: 'Trained parameters',
      color: 'green',
      predicted: trainedBytes,
      measured: of(kept.trainedBytes),
      note: `beside the weights; ${how}`,
    },
    {
      cause: 'Gradients',
      color: 'orange',
      predicted: gradientBytes,
      measured: of(kept.gradientBytes),
      note: `held between batches; ${how}`,
    },
    {
      cause: 'Optimizer',
      color: 'purple',
      predicted: optimizerBytes,
      measured: of(kept.optimizerBytes),
      note: offloadedBytes > 0 ? `${how}; ${byteSize(offloadedBytes)} more are offloaded` : how,
    },
    {
      cause: 'Activations and the rest',
      color: 'yellow',
      predicted: activationBytes,
      measured: rest,
      note: 'predicted: activations alone; measured: all else of the peak, compiled programs included',
    },
  ];
}

/** Bands for the chart, one on top of the other, in the order of the rows. */
export function memoryLevels(rows: readonly MemoryRow[]): { readonly color: CurveColor; readonly from: number; readonly to: number }[] {
  let from = 0;
  return rows.map(({ color, predicted }) => {
    const level = { color, from, to: from + predicted };
    from = level.to;
    return level;
  });
}
