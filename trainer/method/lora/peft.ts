/** Factors in PEFT's LoRA form. */
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { PeftForm } from '../peft-form.ts';
import { factorsFromPeft } from './from-peft.ts';
import { factorsToPeft } from './to-peft.ts';

/** Returns the reason why PEFT refuses factors of a module; undefined if it does not. */
export const refusedFactors = ({ lacksPeftFactors }: ModuleSpec): string | undefined =>
  lacksPeftFactors ? 'a layer of Mamba of which PEFT refuses low-rank factors' : undefined;

/** The form of methods that PEFT does not have: their rows can be written exactly as factors. */
export const rowsInPeft: PeftForm = {
  type: 'LORA',
  takesParameters: true,
  refuses: (_, module) => refusedFactors(module),
  toPeft: factorsToPeft,
};

export const factorsInPeft: PeftForm = { ...rowsInPeft, fromPeft: factorsFromPeft };
