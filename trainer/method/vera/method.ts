/** Vector-based random matrix adaptation. */
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachVera } from './attach.ts';
import { addedVectors } from './merge.ts';
import { vectorsInPeft } from './peft.ts';

export const method: Method = { attach: withSavedModules(attachVera), added: addedVectors, peft: vectorsInPeft };
