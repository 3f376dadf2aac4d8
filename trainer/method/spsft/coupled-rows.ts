/**
 * spsft with dependencies: with the chosen rows, the columns that read them and the norm entries between are trained, all in place. A weight
 * of which columns are trained is trained by single elements (rows and columns together, so that none is moved twice). Their gradient is that
 * of the rows and that of the columns; only of a convolution, or of a head, whose loss reads it itself, it is cut out of the whole weight's.
 */

import { type CoupledGroup, coupledGroups } from '../../coupling/coupled-groups.ts';
import { coupledParts, elementCountOf, elementsOf, trainedGroups } from '../../coupling/coupling.ts';
import type { AnyModel, Model } from '../../model/model-spec.ts';
import type { ModuleSpec, ParameterSpec } from '../../model/module-specs.ts';
import { valueFor } from '../../narrow.ts';
import type { Selection } from '../../selection.ts';
import type { Chosen, ChosenCross, Trainable } from '../method.ts';
import { TargetError, type TargetSettings, targetModules } from '../targets.ts';

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

/** Places are worked out when they are loaded: to know sizes takes none of them. */
const chosen = ({ name }: ModuleSpec, what: string, count: number, places: () => Int32Array): Chosen => {
  let known: Int32Array | undefined;
  return {
    variable: { name: `${name}.${what}`, shape: [count], dtype: 'int32' },
    get indices() {
      known ??= places();
      return known;
    },
  };
};

function elementTrainable(module: ModuleSpec, rows: Int32Array, columns: Int32Array): Trainable {
  const { kind, part, weight } = module;
  const count = elementCountOf(module, rows, columns);
  const elements = chosen(module, 'elements', count, () => elementsOf(module, rows, columns));
  const hasCross = kind === 'linear' && part !== 'head' && rows.length > 0;
  return {
    name: weight.name,
    variable: { name: weight.name, shape: weight.shape, dtype: 'float32' },
    elements,
    ...(hasCross ? { cross: crossOf(module, rows, columns, elements) } : {}),
    shape: [count],
  };
}

function crossOf(module: ModuleSpec, rows: Int32Array, columns: Int32Array, elements: Chosen): ChosenCross {
  const width = module.weight.shape[1] as number;
  const places = (): Int32Array => {
    const rowAt = new Map([...rows].map((row, i) => [row, i]));
    const columnAt = new Map([...columns].map((column, i) => [column, i]));
    return elements.indices.map(place => {
      const [row, column] = [Math.floor(place / width), place % width];
      const inRows = rowAt.get(row);
      return inRows === undefined ? rows.length * width + row * columns.length + valueFor(columnAt, column) : inRows * width + column;
    });
  };
  return {
    rows: chosen(module, 'rows', rows.length, () => rows),
    columns: chosen(module, 'columns', columns.length, () => columns),
    places: chosen(module, 'places', elements.variable.shape[0] as number, places),
  };
}
