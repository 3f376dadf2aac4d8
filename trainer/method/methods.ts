/** How each method of the catalog attaches trained numbers to a model. */

import type { MethodName } from '../catalog/methods.ts';
import { attachBitfit } from './bitfit.ts';
import { attachDora } from './dora.ts';
import { attachFull } from './full.ts';
import { attachHead } from './head.ts';
import { attachLora } from './lora.ts';
import type { Attach } from './method.ts';
import { attachRosa } from './rosa.ts';
import { withSavedModules } from './saved-modules.ts';
import { attachSpsft } from './spsft.ts';
import { attachSpsftLora } from './spsft-lora.ts';
import { attachVera } from './vera.ts';

/** @throws TargetError where the model has nothing that this method can train */
export const attachments: Readonly<Record<MethodName, Attach>> = {
  spsft: withSavedModules(attachSpsft),
  lora: withSavedModules(attachLora),
  dora: withSavedModules(attachDora),
  rosa: withSavedModules(attachRosa),
  vera: withSavedModules(attachVera),
  'spsft+lora': withSavedModules(attachSpsftLora),
  bitfit: withSavedModules(attachBitfit),
  head: withSavedModules(attachHead),
  full: attachFull,
};
