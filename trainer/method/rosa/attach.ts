/**
 * Robust adaptation (Nikdan et al. 2024): W + (alpha / r)·B·A + S, where S has few elements, those of the largest accumulated gradient.
 * As with rows, the elements of S are trained inside W, so S costs the forward pass nothing.
 */
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { Selection } from '../../selection.ts';
import { combine } from '../combine.ts';
import { attachLora } from '../lora/attach.ts';
import type { Attach, Trainable } from '../method.ts';
import { targetModules } from '../targets.ts';

export const attachRosa: Attach = (model, settings, selection) => {
  const trainables = targetModules(model, settings).map(module => sparsePart(module, selection));
  return combine('rosa', [{ method: 'rosa', trainables, initial: () => [] }, attachLora(model, settings, selection)]);
};

function sparsePart({ name, weight }: ModuleSpec, selection: Selection): Trainable {
  const indices = selection.get(name);
  if (!indices) throw new Error(`no elements were chosen for ${name}`);
  return {
    name: weight.name,
    variable: { name: weight.name, shape: weight.shape, dtype: 'float32' },
    elements: { variable: { name: `${name}.elements`, shape: [indices.length], dtype: 'int32' }, indices },
    shape: [indices.length],
  };
}

/** Elements of a weight that a share pays for; at least one. */
export const elementBudget = ({ weight }: Pick<ModuleSpec, 'weight'>, ratio: number): number =>
  Math.max(1, Math.round(ratio * weight.shape.reduce((n, d) => n * d, 1)));

/** As many elements as the share pays for, whichever they are: enough to know sizes. All are views of one array. */
export function firstElements(modules: readonly ModuleSpec[], ratio: number): Selection {
  const counts = modules.map(module => elementBudget(module, ratio));
  const first = Int32Array.from({ length: Math.max(0, ...counts) }, (_, i) => i);
  return new Map(modules.map(({ name }, i) => [name, first.subarray(0, counts[i])]));
}
