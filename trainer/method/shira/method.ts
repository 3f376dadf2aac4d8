/** Sparse high-rank adaptation (Bhardwaj et al. 2024): trains single elements of each weight, drawn at random, in place. */
import { elementsTrainable } from '../elements.ts';
import type { Attach, Method } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { targetModules } from '../targets.ts';
import { addedChanges } from './merge.ts';
import { elementsInPeft } from './peft.ts';

/** Leaves the forward pass unchanged, since the elements are inside W. Biases are not trained. */
const attachShira: Attach = (model, settings, selection) => ({
  method: 'shira',
  trainables: targetModules(model, settings).map(module => elementsTrainable(module, selection)),
  initial: () => [],
});

export const method: Method = { attach: withSavedModules(attachShira), added: addedChanges, peft: elementsInPeft };
