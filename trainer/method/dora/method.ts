/** Weight-decomposed low-rank adaptation. */
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachDora } from './attach.ts';
import { addedMagnitudes } from './merge.ts';
import { magnitudesInPeft } from './peft.ts';

export const method: Method = { attach: withSavedModules(attachDora), added: addedMagnitudes, peft: magnitudesInPeft };
