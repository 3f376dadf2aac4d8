/** Results of a run on held-out data, before and after, and its confusion matrix. Pure. */
import { capitalized, grouped, percent } from '../../trainer/protocol/text/format.ts';
import { formatOf, isAccuracy, shortLabelOf } from '../../trainer/protocol/text/metric-text.ts';
import type { EvaluationView, ForgettingView } from '../../trainer/protocol/view/run.ts';
import { evaluationNames, isBetterLow, measureOf } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';

export interface ResultRow {
  readonly label: string;
  readonly before: string;
  readonly after: string;
  /** The change, with a sign: "+20.0 points", "−6.9". */
  readonly change: string;
  readonly isBetter: boolean | undefined;
}

type Labels = NonNullable<EvaluationView['labels']>;

export interface Results {
  /** The step of the column `after`; undefined if only the original model was evaluated. */
  readonly step: number | undefined;
  /** True for the final evaluation, which may be that of the best checkpoint. */
  readonly isFinal: boolean;
  readonly samples: number | undefined;
  readonly rows: readonly ResultRow[];
  /** Present for tasks with labels. */
  readonly labels?: { readonly after: Labels; readonly before: Labels | undefined };
}

/** Explains why there are no results. */
export function noResultsText({ hasHeldOutData, isActive }: Pick<RunModel, 'hasHeldOutData' | 'isActive'>): string {
  if (!hasHeldOutData) return 'No held-out data. Set data.eval or val_size in the recipe to evaluate.';
  return isActive ? 'No evaluation yet.' : 'The held-out data was not evaluated.';
}

/** Returns undefined before the first evaluation. During a run, uses the newest evaluation. */
export function resultsOf({ history, summary, evaluation }: Pick<RunModel, 'history' | 'summary' | 'evaluation'>): Results | undefined {
  const names = ['eval_loss', ...evaluationNames(history.names)].filter(name => history.names.includes(name));
  if (names.length === 0) return undefined;
  // A run that returned to an earlier checkpoint, or started over, has left a file from a later step.
  const newest = evaluation && evaluation.step <= (history.points('eval_loss').x.at(-1) ?? -1) ? evaluation : undefined;
  const before = summary?.before ?? newest?.before ?? undefined;
  const after = summary?.after ?? newest?.newest;
  const valueAt = (name: string, isWanted: (step: number) => boolean): number | undefined => {
    const { x, y } = history.points(name);
    const at = x.findLastIndex(isWanted);
    return at < 0 ? undefined : y[at];
  };
  return {
    step: summary?.after ? summary.steps : history.points('eval_loss').x.findLast(step => step > 0),
    isFinal: summary?.after != null,
    samples: (after ?? before)?.samples,
    rows: names.map(name =>
      resultRow(
        name,
        (before && measureOf(before, name)) ?? valueAt(name, step => step === 0),
        (after && measureOf(after, name)) ?? valueAt(name, step => step > 0),
      ),
    ),
    labels: after?.labels && { after: after.labels, before: before?.labels },
  };
}

function resultRow(name: string, before: number | undefined, after: number | undefined): ResultRow {
  const format = formatOf(name);
  const show = (value: number | undefined): string => (value === undefined ? '–' : format(value));
  const change = before === undefined || after === undefined ? undefined : after - before;
  const sign = change === undefined || change === 0 ? '' : change > 0 ? '+' : '−';
  return {
    label: capitalized(shortLabelOf(name)),
    before: show(before),
    after: show(after),
    change:
      change === undefined
        ? ''
        : isAccuracy(name)
          ? `${sign}${(100 * Math.abs(change)).toFixed(1)} points`
          : `${sign}${format(Math.abs(change))}`,
    isBetter: change === undefined || change === 0 ? undefined : change < 0 === isBetterLow(name),
  };
}

/** Compares the tuned model with its base on general text. */
export function forgettingRows({ base, tuned, divergence }: ForgettingView): ResultRow[] {
  const format = formatOf('eval_loss');
  return [
    resultRow('eval_loss', base, tuned),
    { label: 'Divergence from the base', before: '–', after: format(divergence), change: '', isBetter: undefined },
  ];
}

export interface LabelRow {
  readonly label: string;
  readonly samples: number;
  /** Share of the label's samples that were predicted as the label. */
  readonly recall: number | undefined;
  /** Share of the predictions of this label that are correct. */
  readonly precision: number | undefined;
  readonly recallBefore: number | undefined;
  /** Number of predictions of each label, in the order of the rows. */
  readonly answers: readonly number[];
}

/** Returns one row per actual label. */
export function labelRows(after: Labels, before: Labels | undefined): LabelRow[] {
  const names = Object.keys(after.confusion);
  const count = ({ confusion }: Labels, truth: string, answer: string): number => confusion[truth]?.[answer] ?? 0;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const share = (part: number, whole: number): number | undefined => (whole > 0 ? part / whole : undefined);
  const recallIn = (labels: Labels, name: string): number | undefined =>
    share(count(labels, name, name), sum(names.map(answer => count(labels, name, answer))));
  return names.map(name => {
    const answers = names.map(answer => count(after, name, answer));
    return {
      label: name,
      samples: sum(answers),
      recall: recallIn(after, name),
      precision: share(count(after, name, name), sum(names.map(truth => count(after, truth, name)))),
      recallBefore: before && recallIn(before, name),
      answers,
    };
  });
}

/** Compares the accuracy with that of always predicting the most common label. */
export function labelSentence({ accuracy, majority }: Labels, samples: number): string {
  return `${percent(accuracy)} of ${grouped(samples)} held-out samples are correct; always predicting the most common label would reach ${percent(majority)}.`;
}
