/** Structured-pruning-based sparse fine-tuning: the chosen rows or columns are trained where they are, inside the weights. */
import type { ModuleSpec, ParameterSpec } from '../../model/module-specs.ts';
import { required } from '../../narrow.ts';
import type { Attach, Trainable } from '../method.ts';
import { coupledTrainables, isCoupled } from './coupled-rows.ts';
import { targetsByUnit } from './targets.ts';

/**
 * The forward pass is the model's own, and there is nothing to merge: rows are inside W, each with its bias entry, and so are columns.
 */
export const attachSpsft: Attach = (model, settings, selection) => {
  if (isCoupled(settings)) {
    const trainables = coupledTrainables(model, settings, selection, { rows: rowsTrainable, columns: columnsTrainable });
    return { method: 'spsft', trainables, initial: () => [] };
  }
  const trainables = targetsByUnit(model, settings).flatMap(module => {
    const chosen = required(selection.get(module.name), `the chosen ${settings.trains} of ${module.name}`);
    if (settings.trains === 'columns') return [columnsTrainable(module, chosen)];
    return (module.bias ? [module.weight, module.bias] : [module.weight]).map(parameter => rowsTrainable(module, parameter, chosen));
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

/** The bias is no part of a column, and stays as it is. */
function columnsTrainable({ name, layer, weight }: ModuleSpec, columns: Int32Array): Trainable {
  return {
    name: weight.name,
    variable: { ...weight, dtype: 'float32' },
    columns: { variable: { name: `${name}.columns`, shape: [columns.length], dtype: 'int32' }, indices: columns },
    batch: layer >= 0 ? `layer ${layer}, ${columns.length} columns` : undefined,
    shape: [weight.shape[0] as number, columns.length],
  };
}
