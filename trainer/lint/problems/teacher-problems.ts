/** Problems of a recipe that depend on its teacher: whether it exists, predicts tokens, and has the model's tokens. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { RecipeView } from '../recipe-view.ts';
import type { Report } from './fact-report.ts';
import { unusable } from './unusable-model.ts';

const TEACHER = ['distillation', 'teacher'];

export function* teacherProblems({ model, teacher, values }: RecipeView): Generator<Report> {
  const { teacher: written = '', top_k: topK } = values.distillation;
  if (teacher !== undefined && teacher.kind !== 'ready') yield unusable(teacher, written, TEACHER);
  if (objectiveCatalog[values.task].hasTeacher !== true || model?.kind !== 'ready' || model.model.kind !== 'causal') return;
  const rows = [model.model.vocabularySize];
  if (teacher?.kind === 'ready') {
    if (teacher.model.kind !== 'causal') {
      const message = `this ${teacher.model.family} model predicts no next token, so it can't be a teacher`;
      yield { code: 'teacher-for-model', path: TEACHER, message };
      return;
    }
    if (teacher.noTokenizer !== undefined) yield { code: 'no-tokenizer', path: TEACHER, message: teacher.noTokenizer };
    rows.push(teacher.model.vocabularySize);
    const [own, others] = [model.vocabulary?.texts, teacher.vocabulary?.texts];
    if (own !== undefined && others !== undefined && own !== others) {
      const message = `the teacher's tokenizer has ${others} tokens and the model's ${own}: a run compares them, and refuses a token that differs`;
      yield { code: 'teacher-for-model', severity: 'warning', path: TEACHER, message };
    }
  }
  const shared = Math.min(...rows);
  if (topK > shared)
    yield {
      code: 'top-k-above-vocabulary',
      path: ['distillation', 'top_k'],
      message: `top_k (${topK}) is larger than the vocabulary of ${shared} tokens`,
      replaceBy: String(shared),
    };
}
