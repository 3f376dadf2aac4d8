/** The table of methods; the loop, the command line and the editor know no other list. */
import { attachBitfit } from './bitfit.ts';
import { attachDora } from './dora.ts';
import { attachFull } from './full.ts';
import { attachHead } from './head.ts';
import { attachLora } from './lora.ts';
import type { Attach, MethodName } from './method.ts';
import { attachRosa } from './rosa.ts';
import { withSavedModules } from './saved-modules.ts';
import { attachSpsft } from './spsft.ts';
import { attachSpsftLora } from './spsft-lora.ts';
import { attachVera } from './vera.ts';

export interface Method {
  /** @throws TargetError where the model has nothing that this method can train */
  readonly attach: Attach;
  /** What has to be chosen before it is attached: rows by importance, single elements by their gradients, or nothing. */
  readonly chooses: 'rows' | 'elements' | 'nothing';
  /** Has it a low-rank product, whose rank is `r`? */
  readonly hasRank: boolean;
}

export const methods: Readonly<Record<MethodName, Method>> = {
  spsft: { attach: withSavedModules(attachSpsft), chooses: 'rows', hasRank: false },
  lora: { attach: withSavedModules(attachLora), chooses: 'nothing', hasRank: true },
  dora: { attach: withSavedModules(attachDora), chooses: 'nothing', hasRank: true },
  rosa: { attach: withSavedModules(attachRosa), chooses: 'elements', hasRank: true },
  vera: { attach: withSavedModules(attachVera), chooses: 'nothing', hasRank: true },
  'spsft+lora': { attach: withSavedModules(attachSpsftLora), chooses: 'rows', hasRank: true },
  bitfit: { attach: withSavedModules(attachBitfit), chooses: 'nothing', hasRank: false },
  head: { attach: withSavedModules(attachHead), chooses: 'nothing', hasRank: false },
  full: { attach: attachFull, chooses: 'nothing', hasRank: false },
};
