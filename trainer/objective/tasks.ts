/** The loss and the evaluation of each objective of the catalog; no data is read by them. Written by `npm run registries` from the folders of this room. */

import type { ObjectiveName } from '../catalog/objectives.ts';
import { task as causalLm } from './causal_lm/task.ts';
import { task as distillation } from './distillation/task.ts';
import { task as dpo } from './dpo/task.ts';
import { task as embedding } from './embedding/task.ts';
import { task as imageClassification } from './image_classification/task.ts';
import { task as kto } from './kto/task.ts';
import { task as multiLabelClassification } from './multi_label_classification/task.ts';
import { task as orpo } from './orpo/task.ts';
import { task as reranker } from './reranker/task.ts';
import { task as reward } from './reward/task.ts';
import { task as sequenceClassification } from './sequence_classification/task.ts';
import { task as sequenceRegression } from './sequence_regression/task.ts';
import { task as simpo } from './simpo/task.ts';
import type { TaskOf } from './task-setup.ts';
import { task as tokenClassification } from './token_classification/task.ts';

export const tasks: Readonly<Record<ObjectiveName, TaskOf>> = {
  causal_lm: causalLm,
  distillation,
  dpo,
  embedding,
  image_classification: imageClassification,
  kto,
  multi_label_classification: multiLabelClassification,
  orpo,
  reranker,
  reward,
  sequence_classification: sequenceClassification,
  sequence_regression: sequenceRegression,
  simpo,
  token_classification: tokenClassification,
};
