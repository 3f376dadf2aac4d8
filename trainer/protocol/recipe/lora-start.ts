/** The start of the factors of a low-rank product. */
import { methodCatalog } from '../../catalog/methods.ts';
import type { Recipe } from './recipe-schema.ts';

/** The start of a recipe's factors; a method that has one start takes that. */
export const loraStart = ({
  method,
  init_lora_weights: start,
}: Pick<Recipe, 'init_lora_weights' | 'method'>): Recipe['init_lora_weights'] =>
  methodCatalog[method].startsInWeights ? start : 'kaiming';
