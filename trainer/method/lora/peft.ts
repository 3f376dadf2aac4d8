/** Factors in PEFT's LoRA form. */
import type { PeftForm } from '../peft-form.ts';
import { factorsFromPeft } from './from-peft.ts';
import { factorsToPeft } from './to-peft.ts';

export const factorsInPeft: PeftForm = { type: 'LORA', takesParameters: true, toPeft: factorsToPeft, fromPeft: factorsFromPeft };

/** The form of methods that PEFT does not have: their rows can be written exactly as factors. */
export const rowsInPeft: PeftForm = { type: 'LORA', takesParameters: true, toPeft: factorsToPeft };
