/** How each objective of the catalog shows its data. Written by `npm run registries` from the folders of this room. */

import type { ObjectiveName } from '../catalog/objectives.ts';
import { preview as causalLm } from './causal_lm/preview.ts';
import type { PreviewData } from './data-preview.ts';
import { preview as distillation } from './distillation/preview.ts';
import { preview as dpo } from './dpo/preview.ts';
import { preview as embedding } from './embedding/preview.ts';
import { preview as imageClassification } from './image_classification/preview.ts';
import { preview as kto } from './kto/preview.ts';
import { preview as multiLabelClassification } from './multi_label_classification/preview.ts';
import { preview as orpo } from './orpo/preview.ts';
import { preview as reranker } from './reranker/preview.ts';
import { preview as reward } from './reward/preview.ts';
import { preview as sequenceClassification } from './sequence_classification/preview.ts';
import { preview as sequenceRegression } from './sequence_regression/preview.ts';
import { preview as simpo } from './simpo/preview.ts';
import { preview as tokenClassification } from './token_classification/preview.ts';

export const previews: Readonly<Record<ObjectiveName, PreviewData>> = {
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
