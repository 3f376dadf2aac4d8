/**
 * spsft of coupled channels: trains the chosen rows together with the columns that read them, in place; with dependencies also those of the
 * stream between blocks, and norm entries. If both rows and columns of a weight are trained, it is trained by single elements (the union,
 * so that no element is updated twice). Their gradient is that of the rows and that of the columns. Only for a convolution, or a head whose
 * loss reads its weight directly, it is cut out of the gradient of the whole weight.
 */

import { type CoupledGroup, coupledGroups, DependencyError } from '../../coupling/coupled-groups.ts';
import { coupledParts, elementCountOf, elementsOf, insideBlocks, trainedGroups } from '../../coupling/coupling.ts';
import type { AnyModel, Model } from '../../model/model-spec.ts';
import type { ModuleSpec, ParameterSpec } from '../../model/module-specs.ts';
import { valueFor } from '../../narrow.ts';
import type { Selection } from '../../selection.ts';
import type { Chosen, ChosenCross, MethodSettings, Trainable } from '../method.ts';
import { TargetError, type TargetSettings, targetModules } from '../targets.ts';

export type CouplingSettings = TargetSettings & Pick<MethodSettings, 'trains' | 'dependencies'>;

/** True if layers share a choice: rows, and the parameters trained with them in other layers. */
export const isCoupled = ({ trains, dependencies }: CouplingSettings): boolean => trains === 'coupled' || dependencies === true;

const isTraceable = (model: Model): model is AnyModel => 'kind' in model;

/** Caches the traced groups, because tracing a model takes longer than any use of its groups. */
const traced = new WeakMap<Model, CoupledGroup[]>();

/** The groups of a model that these settings train. @throws TargetError */
export function groupsToTrain(model: Model, settings: CouplingSettings): CoupledGroup[] {
  if (!isTraceable(model)) throw new TargetError(`the dependencies of this ${model.family} cannot be traced`);
  const all = traced.get(model) ?? traceGroups(model, settings);
  traced.set(model, all);
  const targets = targetModules(model, settings);
  if (settings.trains !== 'coupled') return trainedGroups(all, targets, !settings.freeze.includes('norm'));
  const pairs = insideBlocks(all, targets);
  if (pairs.length === 0)
    throw new TargetError(
      `trains: coupled needs linear layers of a block and those that read their outputs, such as up_proj with down_proj or v_proj with o_proj; target_modules name none in this ${model.family}`,
    );
  return pairs;
}

function traceGroups(model: AnyModel, { trains }: CouplingSettings): CoupledGroup[] {
  try {
    return coupledGroups(model);
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error;
    throw new TargetError(`${error.message}; ${trains === 'coupled' ? 'set trains: rows' : 'set dependencies: false'}`);
  }
}

/** How to train rows and columns of one weight. */
export interface UnitTrainables {
  readonly rows: (module: ModuleSpec, parameter: ParameterSpec, rows: Int32Array) => Trainable;
  readonly columns: (module: ModuleSpec, columns: Int32Array) => Trainable;
}

export function coupledTrainables(
  model: Model,
  settings: CouplingSettings,
  selection: Selection,
  { rows: rowsOf, columns: columnsOf }: UnitTrainables,
): Trainable[] {
  const { columns, entries } = coupledParts(groupsToTrain(model, settings), selection);
  const targets = new Set(targetModules(model, settings));
  const byRows = (module: ModuleSpec, rows: Int32Array): Trainable[] =>
    (module.bias ? [module.weight, module.bias] : [module.weight]).map(parameter => rowsOf(module, parameter, rows));
  return model.modules.flatMap(module => {
    const own = entries.get(module);
    if (own) return byRows(module, own);
    if (!targets.has(module)) return [];
    const [rows, ownColumns] = [selection.get(module.name), columns.get(module.name)];
    if (!rows) return ownColumns ? [columnsOf(module, ownColumns)] : [];
    if (!ownColumns) return byRows(module, rows);
    const weight = elementTrainable(module, rows, ownColumns);
    return module.bias ? [weight, rowsOf(module, module.bias, rows)] : [weight];
  });
}

/** Creates a choice whose indices are computed when they are loaded: sizes are known without them. */
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
