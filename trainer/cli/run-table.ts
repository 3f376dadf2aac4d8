/** What a run gave, as people read it: what changed, what it cost, where it is. */

import { byteSize, compact, grouped, percent, table } from '../protocol/format.ts';
import type { ChoiceResult } from '../run/choice-evaluator.ts';
import type { Evaluation } from '../run/evaluate.ts';
import type { TrainResult } from '../run/train-run.ts';

/** The rows of one evaluation or of several beside each other: name, then a number each. */
export function metricRows(...evaluations: readonly Evaluation[]): string[][] {
  const row = (name: string, show: (evaluation: Evaluation) => string | undefined): string[][] => {
    const shown = evaluations.map(show);
    return shown.some(cell => cell === undefined) ? [] : [[name, ...shown.map(cell => cell ?? '')]];
  };
  return [
    ...row('accuracy', ({ labels }) => (labels ? percent(labels.accuracy) : undefined)),
    ...row('always the commonest', ({ labels }) => (labels ? percent(labels.majority) : undefined)),
    ...row('loss', ({ loss }) => compact(loss)),
    ...row('perplexity', ({ perplexity }) => (perplexity === undefined ? undefined : compact(perplexity))),
    ...row('token accuracy', ({ tokenAccuracy }) => (tokenAccuracy === undefined ? undefined : percent(tokenAccuracy))),
    ...measureNames(evaluations).flatMap(name =>
      row(name, ({ measures }) => (measures?.[name] === undefined ? undefined : compact(measures[name]))),
    ),
    ...row('samples', ({ samples }) => grouped(samples)),
  ];
}

/** Accuracies of multiple-choice benchmarks, and their mean as papers quote it. */
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

const measureNames = (evaluations: readonly Evaluation[]): string[] => [
  ...new Set(evaluations.flatMap(({ measures }) => Object.keys(measures ?? {}))),
];

/** Two tables: held-out numbers before and after, and what the run took. */
export function runTable(result: TrainResult, place: (folder: string) => string): string {
  const { before, after, memory, checkpoint, secondsPerStep, tokensPerSecond, state, steps, totalSteps } = result;
  const quality =
    before && after
      ? [table([['held-out data', 'before', 'after'], ...metricRows(before, after)])]
      : before
        ? [table([['held-out data', 'before'], ...metricRows(before)])]
        : [];
  const cost = [
    ['steps', state === 'finished' ? grouped(steps) : `${grouped(steps)} of ${grouped(totalSteps)} (stopped)`],
    ['trainable parameters', `${grouped(result.trainable)} (${percent(result.trainableShare, 2)})`],
    ['seconds a step', secondsPerStep === null ? 'no step was made' : compact(secondsPerStep)],
    ['tokens a second', compact(tokensPerSecond)],
    ['engine', result.engine],
    ['recompute', result.recompute],
    ...(memory === null ? [['memory', "on the GPU, not in this process's"]] : memoryRows(memory)),
    ['adapter', checkpoint === null ? 'nothing was saved' : place(checkpoint)],
  ];
  return [...quality, table(cost)].join('\n\n');
}

/** The split of the paper: mem_TTL = mem_M + mem_FT + mem_Aux. */
const memoryRows = ({ mem_M, mem_FT, mem_Aux, mem_TTL, mem }: NonNullable<TrainResult['memory']>): string[][] => [
  ['mem_M', `${byteSize(mem_M)} for inference of the model`],
  ['mem_FT', `${byteSize(mem_FT)} for trained parameters, gradients, optimizer`],
  ['mem_Aux', `${byteSize(mem_Aux)} for activations and the rest`],
  ['mem_TTL', `${byteSize(mem_TTL)} in all, ${byteSize(mem)} over inference`],
];
