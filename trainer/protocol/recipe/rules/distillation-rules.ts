/** Rules about distillation: the source of the teacher's predictions, and how they are learned. */
import { namesWhere } from '../../../catalog/entries.ts';
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import type { Recipe } from '../recipe-schema.ts';
import type { Rule } from './rule.ts';

type Taught = Pick<Recipe, 'task' | 'distillation'>;

const hasTeacher = ({ task }: Pick<Recipe, 'task'>): boolean => objectiveCatalog[task].hasTeacher === true;

/** The teacher; undefined if the recipe has none, or only a file of its predictions. */
export function teacherOf(recipe: Taught): Pick<Required<Recipe>, 'model' | 'revision'> | undefined {
  const { teacher, teacher_revision: revision } = recipe.distillation;
  return teacher === undefined || !hasTeacher(recipe) ? undefined : { model: teacher, revision };
}

/** True if only objectives with a teacher have this metric. */
function isOfTeacher(metric: string): boolean {
  const owners = namesWhere(objectiveCatalog, ({ metrics }) => metrics.includes(metric));
  return owners.length > 0 && owners.every(task => hasTeacher({ task }));
}

export const distillationRules: readonly Rule[] = [
  {
    code: 'no-teacher',
    severity: 'error',
    doc: 'Distillation has a teacher, or a file of its predictions.',
    reads: ['task', 'distillation.teacher', 'distillation.logits'],
    check: recipe =>
      hasTeacher(recipe) && recipe.distillation.teacher === undefined && recipe.distillation.logits === undefined
        ? {
            at: 'task',
            message: `task: ${recipe.task} needs a teacher: set distillation.teacher to a model, or distillation.logits to a file`,
          }
        : undefined,
  },
  {
    code: 'teacher-and-file',
    severity: 'error',
    doc: "The teacher's predictions come from a model or from files, not both.",
    reads: ['task', 'distillation.teacher', 'distillation.logits', 'distillation.eval_logits'],
    check: recipe => {
      const { teacher, logits, eval_logits: held } = recipe.distillation;
      if (!hasTeacher(recipe) || teacher === undefined || (logits === undefined && held === undefined)) return undefined;
      const at = logits === undefined ? 'distillation.eval_logits' : 'distillation.logits';
      return {
        at,
        on: 'key',
        message: `'${at}' replaces distillation.teacher; remove one of them`,
        suggestion: { kind: 'remove-key' },
      };
    },
  },
  {
    code: 'teacher-is-model',
    severity: 'warning',
    doc: 'The teacher must not be the model that learns.',
    reads: ['task', 'model', 'revision', 'distillation.teacher', 'distillation.teacher_revision'],
    check: recipe =>
      hasTeacher(recipe) && recipe.distillation.teacher === recipe.model && recipe.distillation.teacher_revision === recipe.revision
        ? { at: 'distillation.teacher', message: 'the teacher is the model itself: training toward it only keeps the model as it is' }
        : undefined,
  },
  {
    code: 'nothing-from-teacher',
    severity: 'error',
    doc: 'The loss has something to learn from the teacher.',
    reads: ['task', 'distillation.alpha', 'distillation.rest', 'distillation.top_k'],
    check: recipe => {
      if (!hasTeacher(recipe)) return undefined;
      const { alpha, rest, top_k: k } = recipe.distillation;
      if (alpha === 0)
        return { at: 'distillation.alpha', message: 'with alpha 0 the teacher has no share of the loss; use task: causal_lm, or raise it' };
      if (rest === 'renormalize' && k === 1)
        return {
          at: 'distillation.rest',
          message: 'one token alone, renormalized, has the probability 1 in both models; use rest: bucket, or a top_k of at least 2',
          suggestion: { kind: 'replace-value', to: 'bucket' },
        };
      return undefined;
    },
  },
  {
    code: 'held-out-without-teacher',
    severity: 'error',
    doc: 'A metric that compares with the teacher needs its predictions for the held-out samples.',
    reads: ['task', 'metric_for_best_model', 'distillation.teacher', 'distillation.eval_logits'],
    check: recipe =>
      hasTeacher(recipe) &&
      isOfTeacher(recipe.metric_for_best_model) &&
      recipe.distillation.teacher === undefined &&
      recipe.distillation.eval_logits === undefined
        ? {
            at: 'metric_for_best_model',
            message: `'${recipe.metric_for_best_model}' needs the teacher on held-out samples: set distillation.eval_logits`,
            suggestion: { kind: 'replace-value', to: 'loss' },
          }
        : undefined,
  },
];
