/** Defines which texts an embedding loss reads of each sample. */
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';

export interface GroupForm {
  /** Number of hard negatives after the anchor and its positive. */
  readonly negatives: number;
  /** Present if the loss compares with a score: the scores of the data are divided by this. */
  readonly maxScore?: number;
}

type Settings = Recipe['embedding'];

const forms: Readonly<Record<Settings['loss_type'], (settings: Settings) => GroupForm>> = {
  multiple_negatives: ({ negatives }) => ({ negatives }),
  symmetric: ({ negatives }) => ({ negatives }),
  cosine: ({ max_score: maxScore }) => ({ negatives: 0, maxScore }),
  triplet: () => ({ negatives: 1 }),
};

export const groupForm = (settings: Settings): GroupForm => forms[settings.loss_type](settings);

/** Number of texts of a sample: anchor, positive and hard negatives. */
export const textsOf = ({ negatives }: GroupForm): number => 2 + negatives;
