/** The hint that weights stored in few bits are held in more of them, unless the recipe says otherwise. */

import { follow } from '../../protocol/recipe/located.ts';
import { recipeRules } from '../../protocol/recipe/rules/recipe-rules.ts';
import { byteSize } from '../../protocol/text/format.ts';
import type { RecipeView } from '../recipe-view.ts';
import type { Report } from './fact-report.ts';

/** Bytes of a weight's value in each form; those of `nf4` have a scale of 8 bits for 64 values. */
const HELD = { int8: 1, nf4: 0.5 + 1 / 64 } as const;

/** Reports nothing if the recipe sets `quantize`, or if its method or engine rules it out. */
export function* storedBitsProblems({ model, values, root }: Pick<RecipeView, 'model' | 'values' | 'root'>): Generator<Report> {
  const stored = model?.kind === 'ready' ? model.stored : undefined;
  if (stored === undefined || (root && follow(root, ['quantize']).complete)) return;
  const to = stored.bits <= 4 ? 'nf4' : 'int8';
  const proposed = { ...values, model: values.model ?? '', quantize: to } as const;
  const isRuledOut = recipeRules.some(({ reads, check }) => {
    const found = reads.includes('quantize') ? check(proposed, () => true) : undefined;
    return found !== undefined && [found].flat().length > 0;
  });
  if (isRuledOut) return;
  const bits = values.dtype === 'float32' ? 32 : 16;
  const message = `the model stores its layers in ${stored.bits} bits, but training holds them in ${values.dtype === 'auto' ? 'at least ' : ''}${bits} bits: about ${byteSize((stored.values * bits) / 8)}, and ${byteSize(stored.values * HELD[to])} with quantize: ${to}`;
  yield { code: 'stored-in-fewer-bits', severity: 'info', path: ['quantize'], message, replaceBy: to };
}
