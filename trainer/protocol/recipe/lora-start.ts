/** The initialization of low-rank factors. */
import { methodCatalog } from '../../catalog/methods.ts';
import type { Recipe } from './recipe-schema.ts';

/** The initialization of a recipe's factors; 'kaiming' for a method that supports no other. */
export const loraStart = ({
  method,
  init_lora_weights: start,
}: Pick<Recipe, 'init_lora_weights' | 'method'>): Recipe['init_lora_weights'] =>
  methodCatalog[method].startsInWeights ? start : 'kaiming';
