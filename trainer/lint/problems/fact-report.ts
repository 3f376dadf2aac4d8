/** A problem of a recipe that depends on its model, its data or this machine, before it is placed in the text. */
import type { Severity } from '../../protocol/problem.ts';
import type { LintProblem } from './lint-problem.ts';

/** The codes of these problems, in the order of the checks. */
export const factCodes = [
  'model-not-found',
  'not-downloaded',
  'unsupported-model',
  'unreadable-model',
  'model-mismatch',
  'no-tokenizer',
  'vocabulary-mismatch',
  'task-for-model',
  'image-size',
  'unknown-module',
  'nothing-to-train',
  'rank-above-layer',
  'no-heads',
  'budget-below-head',
  'length-above-positions',
  'teacher-for-model',
  'top-k-above-vocabulary',
  'no-reward-model',
  'data-not-found',
  'unreadable-data',
  'bad-sample',
  'unknown-column',
  'images-not-checked',
  'nothing-left-to-train',
  'one-label',
  'similar-labels',
  'unknown-label',
  'label-without-samples',
  'class-names',
  'plain-prompts',
  'ignored-judgments',
  'same-texts',
  'prompt-in-answer',
  'unseen-role',
  'single-documents',
  'one-judgment',
  'unbalanced-judgments',
  'labels-for-measure',
  'measure-behind-random',
  'output-not-empty',
  'output-unusable',
  'stored-in-fewer-bits',
  'memory-above-free',
  'offload-without-gpu',
] as const;

export type FactCode = (typeof factCodes)[number];

export interface Report {
  readonly code: FactCode;
  readonly severity?: Severity;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly replaceBy?: string;
  readonly rewrite?: LintProblem['rewrite'];
  readonly related?: LintProblem['related'];
}
