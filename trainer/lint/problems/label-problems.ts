/** Problems of the labels in a recipe's data. */

import { andList } from '../../catalog/entries.ts';
import { measureCatalog, measureWithoutLabels } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { classBalanceProblem } from '../../protocol/checks/class-balance.ts';
import { describeImbalance } from '../../protocol/checks/judgment-balance.ts';
import { describeUnseen, noSampleHas, unseenLabels } from '../../protocol/checks/unseen-labels.ts';
import type { DataFact } from '../facts/data-facts.ts';
import type { RecipeView } from '../recipe-view.ts';
import type { Report } from './fact-report.ts';

/** Problems of the labels of all training files; none are reported if a file was not counted. */
export function* labelProblems({ data, values }: RecipeView): Generator<Report> {
  const counted = data.slice(0, values.data.train.length).map(({ labels }) => labels);
  const counts: Record<string, number> = Object.create(null);
  for (const labels of counted) for (const [name, count] of Object.entries(labels ?? {})) counts[name] = (counts[name] ?? 0) + count;
  const [only, ...others] = Object.keys(counts);
  if (only === undefined || counted.includes(undefined)) return;
  if (objectiveCatalog[values.task].compares?.answers === 'judged') {
    const odd = describeImbalance(counts, values.preference);
    if (odd) yield { code: odd.code, severity: 'warning', path: ['data', 'train'], message: `${odd.problem}. ${odd.advice}` };
    return;
  }
  yield* labelsWithoutSamples(values, counts);
  if (others.length === 0) yield* oneLabel(values, only);
  yield* similarLabels(counts);
  yield* strangeLabels(
    data.slice(values.data.train.length),
    new Set(values.data.labels.length > 0 ? values.data.labels : [...Object.keys(counts), ...data.flatMap(declaredNames)]),
  );
  const { measure, scores } = values.importance;
  const isMeasured = methodCatalog[values.method].chooses === 'rows' && measureCatalog[measure].needsBalancedLabels && scores === undefined;
  const problem = isMeasured ? classBalanceProblem(counts) : undefined;
  if (problem !== undefined)
    yield {
      code: 'labels-for-measure',
      severity: 'warning',
      path: ['importance', 'measure'],
      message: problem,
      replaceBy: measureWithoutLabels,
    };
}

function* oneLabel({ task }: RecipeView['values'], label: string): Generator<Report> {
  const { model, target } = objectiveCatalog[task];
  if (target === 'labels') return;
  const every = `every ${target === 'tags' ? 'word' : 'sample'} has the label '${label}'`;
  const at = { code: 'one-label', path: ['data', 'train'] } as const;
  if (model === 'classifier') yield { ...at, message: `${every}, but a classifier needs at least two labels` };
  else yield { ...at, severity: 'warning', message: `${every}, so the model learns to answer nothing else: add samples with other labels` };
}

/** Problems of labels that are spelled in two ways, which are two classes. */
function* similarLabels(counts: Readonly<Record<string, number>>): Generator<Report> {
  const spellings = new Map<string, string[]>();
  for (const name of Object.keys(counts)) {
    const plain = name.toLowerCase().replaceAll(/\s+/g, ' ');
    spellings.set(plain, [...(spellings.get(plain) ?? []), name]);
  }
  for (const alike of spellings.values()) {
    if (alike.length === 1) continue;
    const shown = andList(alike.map(name => `'${name}' (${counts[name]})`));
    yield {
      code: 'similar-labels',
      severity: 'warning',
      path: ['data', 'train'],
      message: `the labels ${shown} differ only in upper case, lower case or spaces, and are different classes: spell them alike in the data if they mean the same`,
    };
  }
}

const declaredNames = ({ declared }: DataFact): readonly string[] => declared?.names ?? [];

/** Problems of labels that the recipe names and no sample has, although the head gets an output for each. */
function* labelsWithoutSamples(
  { data: { labels }, task }: RecipeView['values'],
  counts: Readonly<Record<string, number>>,
): Generator<Report> {
  const unseen = unseenLabels(labels, task, Object.keys(counts));
  const [first] = unseen;
  if (first === undefined) return;
  const path = ['data', 'labels', labels.indexOf(first)];
  yield { code: 'label-without-samples', severity: 'warning', path, message: describeUnseen(unseen, task, true) };
}

/** Problems of held-out labels without a training sample: a classifier has no output for them. */
function* strangeLabels(held: RecipeView['data'], known: ReadonlySet<string>): Generator<Report> {
  for (const [i, { labels = {} }] of held.entries()) {
    const strange = Object.keys(labels).filter(name => !known.has(name));
    if (strange.length === 0) continue;
    yield {
      code: 'unknown-label',
      path: ['data', 'eval', i],
      message: `${noSampleHas(strange, 'sample')}: add some, or remove the held-out samples`,
    };
  }
}
