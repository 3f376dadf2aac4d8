/** Memory by cause, predicted beside measured. */
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
 * The process knows only its total. What its tensors hold from the first step to the last follows from their shapes, the rest of the peak
 * is what a step needs for a moment.
 * @param peakBytes the highest peak of training
 */
export function memoryRows({ predicted, device, baselineBytes }: MemoryPlan, peakBytes: number | undefined): MemoryRow[] {
  const { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, activationBytes, engineOverheadBytes } = predicted;
  const held = weightsBytes + trainedBytes + gradientBytes + optimizerBytes;
  const total = device === 'cpu' ? peakBytes : undefined;
  const of = (bytes: number): number | undefined => (total === undefined ? undefined : bytes);
  const rest = total === undefined ? undefined : Math.max(0, total - baselineBytes - held);
  return [
    {
      cause: 'Engine',
      color: 'lines',
      predicted: engineOverheadBytes,
      measured: of(baselineBytes),
      note: 'measured: the process before the model came',
    },
    { cause: 'Weights', color: 'blue', predicted: weightsBytes, measured: of(weightsBytes), note: 'by their shapes' },
    {
      cause: 'Trained parameters',
      color: 'green',
      predicted: trainedBytes,
      measured: of(trainedBytes),
      note: 'beside the weights, by their shapes',
    },
    {
      cause: 'Gradients',
      color: 'orange',
      predicted: gradientBytes,
      measured: of(gradientBytes),
      note: 'held between batches, by their shapes',
    },
    { cause: 'Optimizer', color: 'purple', predicted: optimizerBytes, measured: of(optimizerBytes), note: 'by its shapes' },
    {
      cause: 'Activations',
      color: 'yellow',
      predicted: activationBytes,
      measured: rest,
      note: 'measured: the rest of the peak, compiled programs included',
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
