/** How each objective of the catalog reads its data. Written by `npm run registries` from the folders of this room. */

import type { ObjectiveName } from '../catalog/objectives.ts';
import { setUp as causalLm } from './causal_lm/set-up.ts';
import { setUp as distillation } from './distillation/set-up.ts';
import { setUp as dpo } from './dpo/set-up.ts';
import { setUp as embedding } from './embedding/set-up.ts';
import { setUp as imageClassification } from './image_classification/set-up.ts';
import { setUp as kto } from './kto/set-up.ts';
import { setUp as multiLabelClassification } from './multi_label_classification/set-up.ts';
import { setUp as orpo } from './orpo/set-up.ts';
import { setUp as reranker } from './reranker/set-up.ts';
import { setUp as reward } from './reward/set-up.ts';
import { setUp as sequenceClassification } from './sequence_classification/set-up.ts';
import { setUp as sequenceRegression } from './sequence_regression/set-up.ts';
import { setUp as simpo } from './simpo/set-up.ts';
import type { SetUpTask } from './task-setup.ts';
import { setUp as tokenClassification } from './token_classification/set-up.ts';

export const setUps: Readonly<Record<ObjectiveName, SetUpTask>> = {
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
