/** The scores of a sample's answers as table rows and in sentences. Pure. */
import { compact } from '../../trainer/protocol/text/format.ts';
import type { ComparedAnswer, ComparedSample } from '../../trainer/protocol/view/compared-sample.ts';
import { SIDE_NAMES } from '../../trainer/protocol/view/data.ts';
import type { TrySide } from '../../trainer/protocol/view/try.ts';

/** The models that score the answers. */
export const modelsOf = ({ answers }: ComparedSample): readonly TrySide[] =>
  answers.every(({ base }) => base !== undefined) ? ['base', 'tuned'] : ['tuned'];

export const MEASURES: Readonly<Record<ComparedSample['measure'], string>> = {
  logp: 'Mean log-probability per token',
  reward: 'Reward',
};

export interface ScoreRow {
  readonly name: string;
  /** One score per model. */
  readonly scores: readonly string[];
}

/** Returns the score of each answer; for two answers, also their margin. */
export function scoreRows(sample: ComparedSample): readonly ScoreRow[] {
  const models = modelsOf(sample);
  const margins = marginsOf(sample);
  return [
    ...sample.answers.map(answer => ({ name: SIDE_NAMES[answer.side], scores: models.map(model => compact(scoreBy(answer, model))) })),
    ...(margins.length > 0 ? [{ name: 'Margin', scores: margins.map(compact) }] : []),
  ];
}

/** The sentences below the table: which answer each model prefers, and how tuning changed that. */
export function verdictOf(sample: ComparedSample): string {
  const [first, second] = sample.answers;
  if (first && !second) return judgedVerdict(first);
  const margins = marginsOf(sample);
  const [before = Number.NaN, after] = margins;
  if (after === undefined) return `The tuned model ${preference(before)}.`;
  const preferred = [before, after].map(preference);
  const models =
    preferred[0] === preferred[1]
      ? `The base model ${preferred[0]}, and so does the tuned model.`
      : `The base model ${preferred[0]}. The tuned model ${preferred[1]}.`;
  return `${models} ${change('The margin', before, after)}`;
}

const preference = (margin: number): string =>
  margin === 0 ? 'prefers neither answer' : `prefers the ${margin > 0 ? 'better' : 'worse'} answer`;

const judgedVerdict = (answer: ComparedAnswer): string => {
  const name = `The log-probability per token of the ${SIDE_NAMES[answer.side].toLowerCase()}`;
  return change(name, answer.base ?? Number.NaN, answer.tuned);
};

const change = (what: string, before: number, after: number): string =>
  before === after
    ? `${what} stayed at ${compact(after)}.`
    : `${what} ${after > before ? 'rose' : 'fell'} from ${compact(before)} to ${compact(after)}.`;

/** The margin of the better over the worse answer, by model; empty for a judged answer. */
function marginsOf(sample: ComparedSample): readonly number[] {
  const [better, worse] = sample.answers;
  return better && worse ? modelsOf(sample).map(model => scoreBy(better, model) - scoreBy(worse, model)) : [];
}

const scoreBy = (answer: ComparedAnswer, model: TrySide): number => answer[model] ?? Number.NaN;
