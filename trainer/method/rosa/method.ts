/** Robust adaptation: trains single elements inside the weights, plus a low-rank product. */

import { addedFactors } from '../lora/merge.ts';
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachRosa } from './attach.ts';

export const method: Method = { attach: withSavedModules(attachRosa), added: addedFactors };
