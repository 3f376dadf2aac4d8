/** Vector-based random matrix adaptation. */
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachVera } from './attach.ts';
import { vectorsBeside } from './merge.ts';

export const method: Method = { attach: withSavedModules(attachVera), beside: vectorsBeside };
