/** Structured-pruning-based sparse fine-tuning: the chosen rows are trained where they are, inside the weights. */
import type { ParameterSpec } from '../model/model-spec.ts';
import type { Attach, Trainable } from './method.ts';
import { targetModules } from './targets.ts';

/** The forward pass is the model's own, and there is nothing to merge: the rows live in W, and each has its bias entry beside it. */
export const attachSpsft: Attach = (model, settings, selection) => {
  const trainables = targetModules(model, settings).flatMap(module => {
    const rows = selection.get(module.name);
    if (!rows) throw new Error(`no rows were chosen for ${module.name}`);
    const variable = { name: `${module.name}.rows`, shape: [rows.length], dtype: 'int32' as const };
    const over = (parameter: ParameterSpec): Trainable => ({
      name: parameter.name,
      variable: { ...parameter, dtype: 'float32' },
      rows: { variable, indices: rows },
      batch: module.layer >= 0 && parameter.shape.length === 2 ? `layer ${module.layer}, width ${parameter.shape[1]}` : undefined,
      shape: [rows.length, ...parameter.shape.slice(1)],
    });
    return module.bias ? [over(module.weight), over(module.bias)] : [over(module.weight)];
  });
  return { method: 'spsft', trainables, initial: () => [] };
};
