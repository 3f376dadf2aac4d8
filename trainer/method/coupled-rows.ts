/**
 * spsft with dependencies: with the chosen rows, the columns that read them and the norm entries between are trained, all in place. A weight
 * of which columns are trained is trained by single elements (rows and columns together, so that none is moved twice). Their gradient is that
 * of the rows and that of the columns; only of a convolution, or of a head, whose loss reads it itself, it is cut out of the whole weight's.
 */
import { type CoupledGroup, coupledGroups } from '../dependency/coupled-groups.ts';
import { coupledParts, elementsOf, trainedGroups } from '../dependency/coupling.ts';
import type { AnyModel, Model, ModuleSpec, ParameterSpec } from '../model/model-spec.ts';
import type { Selection } from '../selection.ts';
import type { Chosen, ChosenCross, Trainable } from './method.ts';
import { TargetError, type TargetSettings, targetModules } from './targets.ts';

const isTraceable = (model: Model): model is AnyModel => 'kind' in model;

/** The groups of a model as far as these settings train them. @throws DependencyError, TargetError */
export function groupsToTrain(model: Model, settings: TargetSettings): CoupledGroup[] {
  if (!isTraceable(model)) throw new TargetError(`the dependencies of a ${model.family} cannot be traced`);
  return trainedGroups(coupledGroups(model), targetModules(model, settings), !settings.freeze.includes('norm'));
}

/** @param rowsOf what is trained of a parameter by rows, as without dependencies */
export function coupledTrainables(
  model: Model,
  settings: TargetSettings,
  selection: Selection,
  rowsOf: (module: ModuleSpec, parameter: ParameterSpec, rows: Int32Array) => Trainable,
): Trainable[] {
  const { columns, entries } = coupledParts(groupsToTrain(model, settings), selection);
  const targets = new Set(targetModules(model, settings));
  const byRows = (module: ModuleSpec, rows: Int32Array): Trainable[] =>
    (module.bias ? [module.weight, module.bias] : [module.weight]).map(parameter => rowsOf(module, parameter, rows));
  return model.modules.flatMap(module => {
    const own = entries.get(module);
    if (own) return byRows(module, own);
    const rows = selection.get(module.name);
    if (!targets.has(module) || !rows) return [];
    const ownColumns = columns.get(module.name);
    if (!ownColumns) return byRows(module, rows);
    const weight = elementTrainable(module, rows, ownColumns);
    return module.bias ? [weight, rowsOf(module, module.bias, rows)] : [weight];
  });
}

function elementTrainable(module: ModuleSpec, rows: Int32Array, columns: Int32Array): Trainable {
  const { name, kind, part, weight } = module;
  const indices = elementsOf(module, rows, columns);
  const chosen = (what: string, places: Int32Array): Chosen => ({
    variable: { name: `${name}.${what}`, shape: [places.length], dtype: 'int32' },
    indices: places,
  });
  const hasCross = kind === 'linear' && part !== 'head' && rows.length > 0;
  return {
    name: weight.name,
    variable: { name: weight.name, shape: weight.shape, dtype: 'float32' },
    elements: chosen('elements', indices),
    ...(hasCross ? { cross: crossOf(module, rows, columns, indices, chosen) } : {}),
    shape: [indices.length],
  };
}

function crossOf(
  { weight }: ModuleSpec,
  rows: Int32Array,
  columns: Int32Array,
  elements: Int32Array,
  chosen: (what: string, places: Int32Array) => Chosen,
): ChosenCross {
  const width = weight.shape[1] as number;
  const rowAt = new Map([...rows].map((row, i) => [row, i]));
  const columnAt = new Map([...columns].map((column, i) => [column, i]));
  const places = elements.map(place => {
    const [row, column] = [Math.floor(place / width), place % width];
    const inRows = rowAt.get(row);
    return inRows === undefined ? rows.length * width + row * columns.length + (columnAt.get(column) as number) : inRows * width + column;
  });
  return { rows: chosen('rows', rows), columns: chosen('columns', columns), places: chosen('places', places) };
}
