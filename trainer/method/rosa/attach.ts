/**
 * Robust adaptation (Nikdan et al. 2024): W + (alpha / r)·B·A + S, where S has a few elements, those with the largest accumulated gradient.
 * As with rows, the elements of S are trained inside W, so S adds no cost to the forward pass.
 */
import { combine } from '../combine.ts';
import { elementsTrainable } from '../elements.ts';
import { attachLora } from '../lora/attach.ts';
import type { Attach } from '../method.ts';
import { targetModules } from '../targets.ts';

export const attachRosa: Attach = (model, settings, selection) => {
  const trainables = targetModules(model, settings).map(module => elementsTrainable(module, selection));
  return combine('rosa', [
    { method: 'rosa', trainables, initial: () => [] },
    attachLora(model, { ...settings, loraStart: 'kaiming' }, selection),
  ]);
};
