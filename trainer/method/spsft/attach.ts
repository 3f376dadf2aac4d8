/** Structured-pruning-based sparse fine-tuning: trains the chosen rows or columns in place, inside the weights. */
import type { ModuleSpec, ParameterSpec } from '../../model/module-specs.ts';
import { required } from '../../narrow.ts';
import type { Attach, Trainable } from '../method.ts';
import { coupledTrainables, isCoupled } from './coupled-rows.ts';
import { targetsByUnit } from './targets.ts';

/** Leaves the forward pass unchanged, and there is nothing to merge: rows (each with its bias entry) and columns are inside W. */
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

/** Trains columns of a weight. The bias is not part of a column and is not trained. */
function columnsTrainable({ name, layer, weight }: ModuleSpec, columns: Int32Array): Trainable {
  return {
    name: weight.name,
    variable: { ...weight, dtype: 'float32' },
    columns: { variable: { name: `${name}.columns`, shape: [columns.length], dtype: 'int32' }, indices: columns },
    batch: layer >= 0 ? `layer ${layer}, ${columns.length} columns` : undefined,
    shape: [weight.shape[0] as number, columns.length],
  };
}
