/** Trains rows in place and a low-rank product for the same weights: `ratio` sets the rows, `r` the product's rank. */

import { combine } from '../combine.ts';
import { attachLora } from '../lora/attach.ts';
import { addedFactors } from '../lora/merge.ts';
import { rowsInPeft } from '../lora/peft.ts';
import type { Attach, Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachSpsft } from '../spsft/attach.ts';

const attachSpsftLora: Attach = (model, settings, selection) =>
  combine('spsft+lora', [attachSpsft(model, settings, selection), attachLora(model, { ...settings, loraStart: 'kaiming' }, selection)]);

export const method: Method = { attach: withSavedModules(attachSpsftLora), added: addedFactors, peft: rowsInPeft };
