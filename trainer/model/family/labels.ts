/** A classifier's classes: labels and kind of problem, from config.json and the task. */

import type { ModelOptions } from '../config-json.ts';
import { type ConfigValues, contradiction, readConfig, refuse } from '../config-keys.ts';
import type { ConfigProblem, Problem } from '../model-spec.ts';
import { freshSpec, type Initial, type ModuleSpec } from '../module-specs.ts';
import { labelKeys } from './common-keys.ts';

export interface Labels {
  readonly labels: readonly string[];
  readonly problem: Problem;
  /** The initial values of a head that the weight file does not have, or has for another number of labels. */
  readonly fresh: Initial | undefined;
}

export interface LabelParams {
  readonly architecture: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly options: ModelOptions;
  /** True if the weight file has a head, judging by its architecture. */
  readonly hasHead: boolean;
  /** True if the weight file has a head that labels each token; undefined if the family has no such head. */
  readonly hasTokenHead?: boolean;
  readonly std: number;
}

/** @throws ModelConfigError if labels and problem do not fit each other */
export function readLabels({ architecture, json, options, hasHead, hasTokenHead, std }: LabelParams): Labels {
  const { values: config } = readConfig(labelKeys, architecture, json);
  const own = configLabels(config);
  const labels = options.labels ?? labelsFor(own, options.problem);
  const problem = options.problem ?? (hasTokenHead ? 'token_label' : configProblem(config.problem_type, labels.length));
  const wrong: ConfigProblem[] = [];
  if (problem === 'token_label' && hasTokenHead === undefined)
    wrong.push(contradiction('architectures', `${architecture} has no head that labels tokens; encoders of texts have one`));
  if (problem === 'regression' && labels.length !== 1)
    wrong.push(contradiction('problem_type', `problem_type "regression" has one number to predict, num_labels says ${labels.length}`));
  if (problem !== 'regression' && problem !== 'multi_label' && labels.length < 2)
    wrong.push(contradiction('num_labels', `num_labels ${labels.length} leaves nothing to tell apart`));
  refuse(wrong, architecture);
  const isFresh = !(problem === 'token_label' ? hasTokenHead : hasHead) || labels.length !== own.length;
  return { labels, problem, fresh: isFresh ? { kind: 'normal', std, seed: options.headSeed ?? 0 } : undefined };
}

/** The labels of a task before its data is read: those of the config, or two if it has fewer; one for a regression. */
function labelsFor(own: readonly string[], problem: Problem | undefined): readonly string[] {
  if (problem === 'regression') return own.length === 1 ? own : ['LABEL_0'];
  return own.length < 2 && (problem === 'token_label' || problem === 'single_label') ? ['LABEL_0', 'LABEL_1'] : own;
}

/** The labels of `id2label` in numeric order; two by default, as in Transformers. */
function configLabels({ id2label, num_labels }: ConfigValues<typeof labelKeys>): string[] {
  if (id2label && Object.keys(id2label).length > 0)
    return Object.entries(id2label)
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, name]) => name);
  return Array.from({ length: num_labels ?? 2 }, (_, i) => `LABEL_${i}`);
}

/** Transformers' `problem_type` → `Problem`. */
const PROBLEMS: ReadonlyMap<string, Problem> = new Map([
  ['single_label_classification', 'single_label'],
  ['multi_label_classification', 'multi_label'],
  ['regression', 'regression'],
]);

const configProblem = (type: string | null | undefined, count: number): Problem =>
  PROBLEMS.get(type ?? '') ?? (count === 1 ? 'regression' : 'single_label');

/** A module of the head, with new initial values if needed. */
export const headSpec = <Spec extends ModuleSpec>(module: Spec, fresh: Initial | undefined): Spec =>
  fresh ? freshSpec(module, fresh) : module;
