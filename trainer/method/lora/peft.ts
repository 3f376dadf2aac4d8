/** Factors in the form of PEFT's LoRA. */
import type { PeftForm } from '../peft-form.ts';
import { factorsFromPeft } from './from-peft.ts';
import { factorsToPeft } from './to-peft.ts';

export const factorsInPeft: PeftForm = { type: 'LORA', takesParameters: true, toPeft: factorsToPeft, fromPeft: factorsFromPeft };

/** The form of methods that PEFT does not have, whose rows are factors exactly. */
export const rowsInPeft: PeftForm = { type: 'LORA', takesParameters: true, toPeft: factorsToPeft };
