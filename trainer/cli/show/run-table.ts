/** The result of a run as text: changes, costs, location. */

import type { TrainResult } from '../../handlers/train/train-run.ts';
import type { Evaluation } from '../../job/evaluate.ts';
import type { ChoiceResult } from '../../objective/causal/choice-evaluator.ts';
import type { Forgetting } from '../../objective/causal/forgetting.ts';
import { byteSize, compact, grouped, percent, table } from '../../protocol/text/format.ts';
import { BY_CLASS, FEWEST_CLASSES, formatOf, isByClass, shortLabelOf } from '../../protocol/text/metric-text.ts';

/** The rows of one or several evaluations side by side: a name, then one number per evaluation. */
export function metricRows(...evaluations: readonly Evaluation[]): string[][] {
  const row = (name: string, show: (evaluation: Evaluation) => string | undefined): string[][] => {
    const shown = evaluations.map(show);
    return shown.some(cell => cell === undefined) ? [] : [[name, ...shown.map(cell => cell ?? '')]];
  };
  return [
    ...row('accuracy', ({ labels }) => (labels ? percent(labels.accuracy) : undefined)),
    ...row('always the most common', ({ labels }) => (labels ? percent(labels.majority) : undefined)),
    ...row('loss', ({ loss }) => compact(loss)),
    ...row('perplexity', ({ perplexity }) => (perplexity === undefined ? undefined : compact(perplexity))),
    ...row('token accuracy', ({ tokenAccuracy }) => (tokenAccuracy === undefined ? undefined : percent(tokenAccuracy))),
    ...measureNames(evaluations).flatMap(name =>
      row(shortLabelOf(`eval_${name}`), ({ measures }) =>
        measures?.[name] === undefined ? undefined : formatOf(`eval_${name}`)(measures[name]),
      ),
    ),
    ...row('samples', ({ samples }) => grouped(samples)),
  ];
}

/** A table of the base and the tuned model on general text. */
export const forgettingTable = ({ base, tuned, divergence }: Forgetting): string =>
  table([
    ['general text', 'base', 'tuned'],
    ['loss', compact(base), compact(tuned)],
    ['divergence from the base', '', compact(divergence)],
  ]);

/** A table of the accuracies of multiple-choice benchmarks, with their mean as papers report it. */
export function benchmarkTable(results: Readonly<Record<string, ChoiceResult>>): string {
  const all = Object.values(results);
  const mean = (of: (result: ChoiceResult) => number): string => percent(all.reduce((sum, one) => sum + of(one), 0) / all.length);
  const rows = Object.entries(results).map(([name, { accuracy, accuracyNorm, standardError, questions }]) => [
    name,
    `${percent(accuracy)} ± ${percent(standardError)}`,
    percent(accuracyNorm),
    grouped(questions),
  ]);
  const means = ['mean', mean(({ accuracy }) => accuracy), mean(({ accuracyNorm }) => accuracyNorm), ''];
  return table([['benchmark', 'accuracy', 'by length', 'questions'], ...rows, ...(rows.length > 1 ? [means] : [])]);
}

/** The names of the measures, without class-wise ones, which have their own table. */
const measureNames = (evaluations: readonly Evaluation[]): string[] =>
  [...new Set(evaluations.flatMap(({ measures }) => Object.keys(measures ?? {})))].filter(name => !isByClass(name));

const QUARTILES = ['min', 'q1', 'median', 'q3', 'max'] as const;
/** The number of hardest classes to name. */
const HARDEST = 5;

/** Maximum number of classes in a confusion matrix; a larger one is wider than a terminal. */
const MAX_IN_MATRIX = 10;

/** The confusion matrix of the last evaluation for few labels; quartiles over classes for many. */
export function classTable(evaluations: Readonly<Record<string, Evaluation>>): string {
  const last = Object.values(evaluations).at(-1);
  const matrix = Object.entries(last?.labels?.confusion ?? {});
  const names = matrix.map(([name]) => name);
  const shown =
    names.length > 1 && names.length <= MAX_IN_MATRIX
      ? [
          table([
            ['actual, predicted →', ...names],
            ...matrix.map(([name, given]) => [name, ...names.map(other => grouped(given[other] ?? 0))]),
          ]),
        ]
      : [];
  const spread = quartileTable(evaluations);
  return [...shown, ...(spread === '' ? [] : [spread])].join('\n\n');
}

/**
 * A table of the quartiles of the class accuracies, one line per evaluation, and the classes with the most errors in the last one; '' for
 * few classes.
 */
function quartileTable(evaluations: Readonly<Record<string, Evaluation>>): string {
  const all = Object.entries(evaluations);
  const last = all.at(-1)?.[1];
  const accuracies = Object.entries(last?.labels?.confusion ?? {}).flatMap(([name, given]) => {
    const count = Object.values(given).reduce((sum, one) => sum + one, 0);
    return count === 0 ? [] : [{ name, share: (given[name] ?? 0) / count }];
  });
  if (accuracies.length < FEWEST_CLASSES) return '';
  // Word tags are counted by entity type and have no quartiles.
  const lines = all.flatMap(([title, { measures }]) => {
    const found = QUARTILES.flatMap(name => measures?.[BY_CLASS + name] ?? []);
    return found.length === QUARTILES.length ? [[title, ...found.map(share => percent(share))]] : [];
  });
  const hardest = accuracies.sort((a, b) => a.share - b.share).slice(0, HARDEST);
  return [
    ...(lines.length > 0 ? [table([['accuracy by class', 'min', '25%', 'median', '75%', 'max'], ...lines])] : []),
    `hardest: ${hardest.map(({ name, share }) => `${name} ${percent(share)}`).join(', ')}`,
  ].join('\n');
}

/** Two tables: held-out metrics before and after, and the costs of the run. */
export function runTable(result: TrainResult, place: (folder: string) => string): string {
  const { before, after, memory, checkpoint, secondsPerStep, tokensPerSecond, state, steps, totalSteps } = result;
  const quality =
    before && after
      ? [table([['held-out data', 'before', 'after'], ...metricRows(before, after)])]
      : before
        ? [table([['held-out data', 'before'], ...metricRows(before)])]
        : [];
  const classes = classTable({ ...(before ? { before } : {}), ...(after ? { after } : {}) });
  const cost = [
    ...(result.loss === null ? [] : [['training loss', compact(result.loss)]]),
    ['steps', state === 'finished' ? grouped(steps) : `${grouped(steps)} of ${grouped(totalSteps)} (stopped)`],
    ['trainable parameters', `${grouped(result.trainable)} (${percent(result.trainableShare, 2)})`],
    ['seconds per step', secondsPerStep === null ? 'no step was made' : compact(secondsPerStep)],
    [`${result.throughputUnit ?? 'tokens'} per second`, compact(tokensPerSecond)],
    ['engine', result.engine],
    ['recompute', result.recompute],
    ...(memory === null ? [['memory', 'on the GPU, not measured']] : memoryRows(memory)),
    ['adapter', checkpoint === null ? 'nothing was saved' : place(checkpoint)],
  ];
  const forgetting = result.forgetting ? [forgettingTable(result.forgetting)] : [];
  return [...quality, ...(classes === '' ? [] : [classes]), ...forgetting, table(cost)].join('\n\n');
}

/** The paper's split: mem_TTL = mem_M + mem_FT + mem_Aux. */
const memoryRows = ({ mem_M, mem_FT, mem_Aux, mem_TTL, mem }: NonNullable<TrainResult['memory']>): string[][] => [
  ['memory: inference', `${byteSize(mem_M)} (mem_M)`],
  ['memory: training state', `${byteSize(mem_FT)} (mem_FT): trained parameters, gradients, optimizer`],
  ['memory: activations and others', `${byteSize(mem_Aux)} (mem_Aux)`],
  [
    'memory: total',
    `${byteSize(mem_TTL)} (mem_TTL): growth of the process since before the model was loaded; ${byteSize(mem)} above inference`,
  ],
];
