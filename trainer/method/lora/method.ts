/** Low-rank adaptation. */
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachLora } from './attach.ts';
import { addedFactors } from './merge.ts';
import { factorsInPeft } from './peft.ts';

export const method: Method = { attach: withSavedModules(attachLora), added: addedFactors, peft: factorsInPeft };
