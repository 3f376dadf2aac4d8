/** Sparse fine-tuning of rows. */

import { rowsInPeft } from '../lora/peft.ts';
import type { Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { attachSpsft } from './attach.ts';

export const method: Method = { attach: withSavedModules(attachSpsft), peft: rowsInPeft };
