/** Rows in place and a low-rank product beside the same weights: rows by `ratio`, the product's rank by `r`. */
import { combine } from './combine.ts';
import { attachLora } from './lora.ts';
import type { Attach } from './method.ts';
import { attachSpsft } from './spsft.ts';

export const attachSpsftLora: Attach = (model, settings, selection) =>
  combine('spsft+lora', [attachSpsft(model, settings, selection), attachLora(model, settings, selection)]);
