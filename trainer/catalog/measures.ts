/** The measures of importance. Code asks for a capability of an entry; `importance/measures.ts` computes them. */
import { namesOf, namesWhere, orList } from './entries.ts';

export interface MeasureEntry {
  readonly label: string;
  /** One sentence for completion, hover and documentation. */
  readonly summary: string;
  /**
   * The inputs of the measure. nothing: a control. weights: only the rows. inputs: forward passes. outputs: outputs and their gradients,
   * one value per row and sample. gradients: the gradient of the whole weight, one layer at a time. steps: the same, and float32 weights
   * that it changes.
   */
  readonly needs: 'nothing' | 'weights' | 'inputs' | 'outputs' | 'gradients' | 'steps';
  /** Whether it can score columns, that is, the importance of a layer's inputs. */
  readonly scoresColumns: boolean;
  /** Whether it examines samples one by one, so that samples cannot share a row of a batch. */
  readonly perSample: boolean;
  /** Whether it combines scores of single classes, so that every sample needs a label. */
  readonly byClass: boolean;
  /** Whether it is unreliable with few labels or very unbalanced ones. */
  readonly needsBalancedLabels: boolean;
  /** Whether it was clearly worse than random rows on the vision transformer of the study (bench/results/study.md). */
  readonly isWorseThanRandomOnImages: boolean;
}

const plain = {
  scoresColumns: false,
  perSample: false,
  byClass: false,
  needsBalancedLabels: false,
  isWorseThanRandomOnImages: false,
} as const;
const ofClasses = { ...plain, needs: 'outputs', perSample: true, byClass: true } as const;

const entries = {
  magnitude: {
    ...plain,
    label: 'Magnitude',
    summary: 'The length of each row (or column). Needs only the weights.',
    scoresColumns: true,
    needs: 'weights',
    isWorseThanRandomOnImages: true,
  },
  lift: {
    ...plain,
    label: 'LIFT',
    summary: 'The length of each row in an approximation of the weight of rank 16. Needs only the weights.',
    needs: 'weights',
  },
  wanda: {
    ...plain,
    label: 'Wanda',
    summary: 'The size of each weight times the norm of its input, summed over the row (or column). Needs data, but only forward passes.',
    scoresColumns: true,
    needs: 'inputs',
  },
  activation: {
    ...plain,
    label: 'Activation',
    summary: "The norm of each row's output over all positions. Needs data, but only forward passes.",
    needs: 'inputs',
    isWorseThanRandomOnImages: true,
  },
  taylor: {
    ...plain,
    label: 'Taylor',
    summary:
      'The size of weight times gradient, summed over the elements of each row, for the mean gradient over all samples (importance.exact). Needs data.',
    needs: 'gradients',
  },
  taylor_squared: {
    ...plain,
    label: 'Taylor (squared)',
    summary: 'As taylor, but each product is squared before the sum. Needs data.',
    needs: 'gradients',
  },
  taylor_row: {
    ...plain,
    label: 'Taylor (rows)',
    summary: 'The size of row (or column) times its mean gradient, from outputs and their gradients alone. Needs data.',
    scoresColumns: true,
    needs: 'outputs',
  },
  fisher: {
    ...plain,
    label: 'Fisher',
    summary: 'The mean over samples of the squared product of row and gradient (the diagonal Fisher information of the row). Needs data.',
    needs: 'outputs',
    perSample: true,
  },
  qm_taylor: {
    ...ofClasses,
    label: 'QMTaylor (class quantiles)',
    summary: 'Row times gradient for each class, then the mean of eleven quantiles over the classes. Needs labeled data.',
    needsBalancedLabels: true,
  },
  class_max_taylor: {
    ...ofClasses,
    label: 'Taylor (largest class)',
    summary: 'Row times gradient for each class, then the largest value. A control that a single class can dominate. Needs labeled data.',
  },
  class_mean_taylor: {
    ...ofClasses,
    label: 'Taylor (mean of classes)',
    summary: 'Row times gradient for each class, then the mean. Needs labeled data.',
  },
  movement: {
    ...plain,
    label: 'Movement',
    summary:
      'The distance that each row (or column) goes in a short pass that trains all of them. Needs data, and holds the weights in float32 for the pass.',
    scoresColumns: true,
    isWorseThanRandomOnImages: true,
    needs: 'steps',
  },
  random: { ...plain, label: 'Random', summary: 'Random rows or columns, as a control.', scoresColumns: true, needs: 'nothing' },
} as const satisfies Readonly<Record<string, MeasureEntry>>;

export type MeasureName = keyof typeof entries;

export const measureCatalog: Readonly<Record<MeasureName, MeasureEntry>> = entries;

export const measureNames = namesOf(entries);

/** True if a measure uses samples. */
export const needsData = (measure: MeasureName): boolean => !['nothing', 'weights'].includes(measureCatalog[measure].needs);

/** True if a measure changes the weights of the targeted layers while it computes, which requires them in float32. */
export const movesWeights = (measure: MeasureName): boolean => measureCatalog[measure].needs === 'steps';

/** True if a measure uses the gradients of whole weights, whose exact mean takes several passes (`importance.exact`). */
export const needsWeightGradients = (measure: MeasureName): boolean => measureCatalog[measure].needs === 'gradients';

/** The default for rows if there is data: the study found it better than random rows in most tasks (docs/choosing.md). */
export const defaultMeasure: MeasureName = 'wanda';

/** The default for columns and coupled channels: in the study, scores had no benefit there (docs/choosing.md). */
export const measureWithoutScores: MeasureName = 'random';

/** The default without data, which a hint proposes if data is missing; the next constant is proposed if labels are missing. */
export const measureWithoutData: MeasureName = 'magnitude';
export const measureWithoutLabels: MeasureName = 'taylor_row';

/** The default for rows. */
export const measureOfRows = (hasData: boolean): MeasureName => (hasData ? defaultMeasure : measureWithoutData);

/** The measures with a capability, for a sentence: "taylor or taylor_squared". */
export const measuresThat = (has: (entry: MeasureEntry) => boolean): string => orList(namesWhere(measureCatalog, has));
