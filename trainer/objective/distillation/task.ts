/** Distillation: predict the next token like the data and a teacher. */

import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { causalTask, type TeacherSettings } from '../causal/causal-task.ts';
import type { TaskOf } from '../task-setup.ts';

const teacherSettings = ({ top_k: topK, temperature, alpha, beta, rest }: Recipe['distillation']): TeacherSettings => ({
  topK,
  temperature,
  alpha,
  beta,
  rest,
});

export const task: TaskOf = (model, { packing, distillation }) => {
  if (model.kind !== 'causal') throw new Error(`${model.family} predicts no next token`);
  return causalTask(model, { packed: packing, teacher: teacherSettings(distillation) });
};
