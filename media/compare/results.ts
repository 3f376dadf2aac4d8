/** The results of each run as numbers. */
import { byteSize, compact, duration, grouped, percent } from '../../trainer/protocol/text/format.ts';
import { formatOf, labelOf } from '../../trainer/protocol/text/metric-text.ts';
import type { ForgettingView } from '../../trainer/protocol/view/run.ts';
import { evaluationNames, isBetterLow, measureOf } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';

export interface ResultColumn {
  readonly id: string;
  readonly label: string;
  readonly format: (value: number) => string;
  /** The better direction; undefined if neither is. */
  readonly better?: 'low' | 'high';
  /** Values by run. */
  readonly values: readonly (number | undefined)[];
}

/** Number of lines whose mean is shown: a single line of metrics is noisy. */
const FINAL_LINES = 10;

export function resultColumns(runs: readonly RunModel[]): ResultColumn[] {
  const column = (
    id: string,
    label: string,
    format: ResultColumn['format'],
    better: ResultColumn['better'],
    value: (run: RunModel) => number | undefined,
  ) => ({
    id,
    label,
    format,
    better,
    values: runs.map(value),
  });
  const names = evaluationNames([...new Set(runs.flatMap(({ history }) => history.names))]);
  const measured = names.map(name =>
    column(name, labelOf(name), formatOf(name), isBetterLow(name) ? 'low' : 'high', run => evaluated(run, name)),
  );
  const columns: ResultColumn[] = [
    column('step', 'Steps', grouped, undefined, run => run.overview?.step),
    column('loss', 'Loss', compact, 'low', run => run.history.last('loss')),
    column('mean_loss', `Loss, mean of the last ${FINAL_LINES} lines`, compact, 'low', finalLoss),
    column('eval_loss', 'Held-out loss', compact, 'low', run => evaluated(run, 'eval_loss')),
    ...measured,
    column('forgotten', 'Loss on general text, growth', compact, 'low', ({ summary }) => growth(summary?.forgetting)),
    column('divergence', 'Divergence from the base', compact, 'low', ({ summary }) => summary?.forgetting?.divergence),
    column('train_seconds', 'Training time', duration, 'low', run => positive(run.history.last('train_seconds'))),
    column(
      'tokens_per_second',
      labelOf('tokens_per_second'),
      formatOf('tokens_per_second'),
      'high',
      run => positive(run.summary?.tokensPerSecond) ?? mean(run.history.points('tokens_per_second').y),
    ),
    column('memory', 'Memory above inference', byteSize, 'low', run => run.summary?.memory?.mem),
    column('memory_peak_bytes', labelOf('memory_peak_bytes'), byteSize, 'low', run => run.history.highest('memory_peak_bytes')),
    column('gpu_memory_peak_bytes', labelOf('gpu_memory_peak_bytes'), byteSize, 'low', run => run.history.highest('gpu_memory_peak_bytes')),
    column('trainable', 'Trained parameters', grouped, undefined, run => run.coverage?.trainable ?? run.summary?.trainable),
    column(
      'share',
      'Trained share',
      value => percent(value, 2),
      undefined,
      run => run.coverage?.share ?? run.summary?.trainableShare,
    ),
  ];
  return columns.filter(({ values }) => values.some(value => value !== undefined));
}

/** Returns the indices of the best runs in a column; none if all are equal or only one has a value. */
export function bestOf({ values, better }: Pick<ResultColumn, 'values' | 'better'>): Set<number> {
  const known = values.filter(value => value !== undefined);
  if (better === undefined || new Set(known).size < 2) return new Set();
  const best = better === 'low' ? Math.min(...known) : Math.max(...known);
  return new Set(values.flatMap((value, i) => (value === best ? [i] : [])));
}

/** Returns the indices of the runs in sorted order; runs without a value come last. */
export function sortedPlaces(values: readonly (number | string | undefined)[], direction: 'ascending' | 'descending'): number[] {
  const sign = direction === 'ascending' ? 1 : -1;
  const places = values.map((_, i) => i);
  return places.sort((a, b) => {
    const [x, y] = [values[a], values[b]];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined) || a - b;
    const order = typeof x === 'string' || typeof y === 'string' ? String(x).localeCompare(String(y), undefined, { numeric: true }) : x - y;
    return sign * order || a - b;
  });
}

function finalLoss({ history }: RunModel): number | undefined {
  return mean(history.points('loss').y.slice(-FINAL_LINES));
}

/**
 * Returns a metric of the final evaluation, which may be that of the best checkpoint. During a run, returns the newest evaluation after the
 * first update.
 */
function evaluated({ summary, history }: RunModel, name: string): number | undefined {
  const final = summary?.after && measureOf(summary.after, name);
  if (final !== undefined && final !== null) return final;
  const { x, y } = history.points(name);
  return (x.at(-1) ?? 0) > 0 ? y.at(-1) : undefined;
}

/** Increase of the loss on general text through tuning, in nats per token. */
const growth = (forgetting: ForgettingView | undefined): number | undefined => forgetting && forgetting.tuned - forgetting.base;

const positive = (value: number | undefined): number | undefined => (value !== undefined && value > 0 ? value : undefined);
const mean = (values: Float64Array): number | undefined =>
  values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : undefined;
