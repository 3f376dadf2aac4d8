/** Robust adaptation: single elements inside the weights, and a low-rank product in addition. */

import { addedFactors } from '../lora/merge.ts';
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachRosa } from './attach.ts';

export const method: Method = { attach: withSavedModules(attachRosa), added: addedFactors };
