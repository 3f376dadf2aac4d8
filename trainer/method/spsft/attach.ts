/** Structured-pruning-based sparse fine-tuning: the chosen rows are trained where they are, inside the weights. */
import type { ModuleSpec, ParameterSpec } from '../../model/module-specs.ts';
import type { Attach, Trainable } from '../method.ts';
import { targetModules } from '../targets.ts';
import { coupledTrainables } from './coupled-rows.ts';

/**
 * The forward pass is the model's own, and there is nothing to merge: the rows are inside W, each with its bias entry.
 */
export const attachSpsft: Attach = (model, settings, selection) => {
  if (settings.dependencies) {
    const trainables = coupledTrainables(model, settings, selection, rowsTrainable);
    return { method: 'spsft', trainables, initial: () => [] };
  }
  const trainables = targetModules(model, settings).flatMap(module => {
    const rows = selection.get(module.name);
    if (!rows) throw new Error(`no rows were chosen for ${module.name}`);
    return (module.bias ? [module.weight, module.bias] : [module.weight]).map(parameter => rowsTrainable(module, parameter, rows));
  });
  return { method: 'spsft', trainables, initial: () => [] };
};

function rowsTrainable(module: ModuleSpec, parameter: ParameterSpec, rows: Int32Array): Trainable {
  return {
    name: parameter.name,
    variable: { ...parameter, dtype: 'float32' },
    rows: { variable: { name: `${module.name}.rows`, shape: [rows.length], dtype: 'int32' }, indices: rows },
    batch: module.layer >= 0 && parameter.shape.length === 2 ? `layer ${module.layer}, width ${parameter.shape[1]}` : undefined,
    shape: [rows.length, ...parameter.shape.slice(1)],
  };
}
