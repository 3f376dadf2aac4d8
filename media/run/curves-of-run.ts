/** The curves of each chart of a run. Pure. */

import { shortLabelOf } from '../../trainer/protocol/text/metric-text.ts';
import { inTraining } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';
import type { ChartContent, Curve } from '../shared/series/chart-content.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import { smooth } from '../shared/series/smooth.ts';
import { memoryLevels, memoryRows } from './memory-rows.ts';
import { noResultsText } from './results.ts';

const BLUE = curveLook(0);
const ORANGE = curveLook(1);
const GREEN = curveLook(2);

export type RunChart = 'loss' | 'evaluation' | 'learningRate' | 'gradNorm' | 'tokens' | 'memory';

export interface RunCurveSettings {
  /** The held-out metric shown; empty before the first evaluation. */
  readonly evaluation: string;
  /** Smoothing weight; 0 for none. */
  readonly weight: number;
  readonly isLogarithmic: boolean;
}

type Data = Pick<RunModel, 'history' | 'memory' | 'throughputUnit' | 'hasHeldOutData' | 'isActive'>;

export function curvesOfRun(
  { history, memory, throughputUnit, hasHeldOutData, isActive }: Data,
  { evaluation, weight, isLogarithmic }: RunCurveSettings,
): Readonly<Record<RunChart, ChartContent>> {
  const plain = (name: string, label: string, look = BLUE, kind: Curve['kind'] = 'line'): Curve => ({
    label,
    look,
    kind,
    points: history.points(name),
  });
  /** The raw curve, drawn faintly, with a smoothed curve in front of it. */
  const smoothed = (name: string, label: string, look = BLUE): readonly Curve[] => {
    const curve = plain(name, label, look);
    if (weight === 0) return [curve];
    const { points } = curve;
    const front: Curve = { ...curve, points: { x: points.x, y: smooth(points.y, weight) }, measured: points };
    return [{ ...curve, label: `${label}, measured`, kind: 'faint' }, front];
  };
  return {
    loss: {
      curves: [...smoothed('loss', 'training'), ...(hasHeldOutData ? [plain('eval_loss', 'held-out', ORANGE, 'dots')] : [])],
      logarithmic: isLogarithmic,
    },
    evaluation: {
      empty: noResultsText({ hasHeldOutData, isActive }),
      curves:
        evaluation === ''
          ? []
          : [
              ...(history.names.includes(inTraining(evaluation)) ? smoothed(inTraining(evaluation), 'training') : []),
              plain(evaluation, shortLabelOf(evaluation), ORANGE, 'dots'),
            ],
    },
    learningRate: { curves: [plain('learning_rate', 'learning rate', GREEN)] },
    gradNorm: { curves: smoothed('grad_norm', 'norm before clipping'), logarithmic: isLogarithmic },
    tokens: { curves: smoothed('tokens_per_second', `${throughputUnit} per second`, GREEN) },
    memory: memoryChart(memory, plain),
  };
}

/** The peak and resident memory over the predicted bands. */
function memoryChart(plan: RunModel['memory'], plain: (name: string, label: string, look?: Curve['look']) => Curve): ChartContent {
  const where = plan?.device === 'gpu' ? ' of the host' : '';
  const peak = plain('memory_peak_bytes', `peak${where}`, ORANGE);
  const resident = plain('memory_resident_bytes', `resident${where}`);
  const onGpu = plain('gpu_memory_peak_bytes', 'peak of the GPU', GREEN);
  const measured = onGpu.points.x.length > 0 ? [onGpu, peak, resident] : [peak, resident];
  const [first, last] = [peak.points.x[0], peak.points.x.at(-1)];
  if (!plan || first === undefined || last === undefined) return { curves: measured };
  const total = plan.predicted.totalBytes;
  const predicted: Curve = {
    label: 'predicted',
    look: { color: 'foreground', dash: [4, 4] },
    kind: 'line',
    points: { x: Float64Array.of(first, last), y: Float64Array.of(total, total) },
  };
  return { curves: [predicted, ...measured], levels: memoryLevels(memoryRows(plan, undefined)) };
}
