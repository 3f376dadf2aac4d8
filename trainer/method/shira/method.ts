/** Sparse high-rank adaptation (Bhardwaj et al. 2024): single elements of each weight, drawn at random, trained in place. */
import { elementsTrainable } from '../elements.ts';
import type { Attach, Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { targetModules } from '../targets.ts';
import { addedChanges } from './merge.ts';
import { elementsInPeft } from './peft.ts';

/** The forward pass is the model's own: the elements are inside W. Biases stay as they are. */
const attachShira: Attach = (model, settings, selection) => ({
  method: 'shira',
  trainables: targetModules(model, settings).map(module => elementsTrainable(module, selection)),
  initial: () => [],
});

export const method: Method = { attach: withSavedModules(attachShira), added: addedChanges, peft: elementsInPeft };
