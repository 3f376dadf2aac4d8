/** The table of methods; the loop, the command line and the editor know no other list. */
import { attachFull } from './full.ts';
import { attachLora } from './lora.ts';
import type { Attach, MethodName } from './method.ts';
import { attachSpsft } from './spsft.ts';

export const methods: Readonly<Record<MethodName, { readonly attach: Attach; readonly choosesRows: boolean }>> = {
  spsft: { attach: attachSpsft, choosesRows: true },
  lora: { attach: attachLora, choosesRows: false },
  full: { attach: attachFull, choosesRows: false },
};
