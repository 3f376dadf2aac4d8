/** Memory by component, predicted and measured. */
import { byteSize, countedText } from '../../trainer/protocol/text/format.ts';
import type { MemoryPlan } from '../../trainer/protocol/view/run.ts';
import type { CurveColor } from '../shared/series/curve-look.ts';

export interface MemoryRow {
  readonly cause: string;
  readonly color: CurveColor;
  readonly predicted: number;
  /** Undefined before the first measurement, or if the memory of the device does not belong to the process. */
  readonly measured: number | undefined;
  readonly note: string;
}

/** Growth below this share of the weights means that they were loaded into memory that the process had already taken. */
const LEAST_GROWTH = 0.5;
const REUSED = 'computed from their shapes: loading them reused memory of an earlier pass';

/**
 * Returns one row per component. Tensors that live for the whole run are measured as the growth of the process while they were loaded. Runs
 * of older versions did not measure this, so it is computed from the shapes, as for weights that reuse the memory of scoring. Activations can't be separated from the rest of the peak.
 * @param peakBytes the highest peak during training
 */
export function memoryRows({ predicted, device, baselineBytes, held }: MemoryPlan, peakBytes: number | undefined): MemoryRow[] {
  const { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, offloadedBytes = 0 } = predicted;
  const { activationBytes, source, engineOverheadBytes } = predicted;
  const isReused = held !== undefined && held.weightsBytes < LEAST_GROWTH * weightsBytes;
  const kept = { ...(held ?? predicted), ...(isReused ? { weightsBytes } : {}) };
  const keptBytes = kept.weightsBytes + kept.trainedBytes + kept.gradientBytes + kept.optimizerBytes;
  const total = device === 'cpu' ? peakBytes : undefined;
  const of = (bytes: number): number | undefined => (total === undefined ? undefined : bytes);
  const rest = total === undefined ? undefined : Math.max(0, total - baselineBytes - keptBytes);
  const how = held ? 'measured: growth of the process while loading them' : 'computed from their shapes';
  return [
    {
      cause: 'Engine',
      color: 'lines',
      predicted: engineOverheadBytes,
      measured: of(baselineBytes),
      note: 'measured: process before the model was loaded',
    },
    { cause: 'Weights', color: 'blue', predicted: weightsBytes, measured: of(kept.weightsBytes), note: isReused ? REUSED : how },
    {
      cause: 'Trained parameters',
      color: 'green',
      predicted: trainedBytes,
      measured: of(kept.trainedBytes),
      note: `next to the weights; ${how}`,
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
      cause: 'Activations and others',
      color: 'yellow',
      predicted: activationBytes,
      measured: rest,
      note: `predicted: activations only${countedText(source)}; measured: the rest of the peak, including compiled programs`,
    },
  ];
}

/** The bands of the chart, stacked in the order of the rows. */
export function memoryLevels(rows: readonly MemoryRow[]): { readonly color: CurveColor; readonly from: number; readonly to: number }[] {
  let from = 0;
  return rows.map(({ color, predicted }) => {
    const level = { color, from, to: from + predicted };
    from = level.to;
    return level;
  });
}
