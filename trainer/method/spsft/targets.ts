/** The layers that spsft trains parts of, and the parts that compete for its budget. */
import { selectCoupled } from '../../coupling/coupling.ts';
import type { Model } from '../../model/model-spec.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import { byColumns, firstRows, type RowsOf, type Selection } from '../../selection.ts';
import { lowRankTargets } from '../lora/attach.ts';
import type { MethodSettings } from '../method.ts';
import { targetModules } from '../targets.ts';
import { type CouplingSettings, groupsToTrain } from './coupled-rows.ts';

/**
 * The modules whose rows or columns are scored and chosen. Columns are the inputs of a linear layer; anything else that `all-linear`
 * matches is excluded. For coupled layers, these are the layers whose rows produce the channels.
 * @throws TargetError if no module is left, or target_modules names a module without columns
 */
export function targetsByUnit(model: Model, settings: CouplingSettings): ModuleSpec[] {
  switch (settings.trains) {
    case 'rows':
      return targetModules(model, settings);
    case 'columns':
      return lowRankTargets(model, settings, 'trains: columns', ['linear'], ': set trains: rows to tune these too');
    case 'coupled': {
      const makers = groupsToTrain(model, settings).flatMap(({ members }) => members.filter(({ part }) => part === 'rows'));
      const found = new Set(makers.map(({ module }) => module));
      return model.modules.filter(module => found.has(module));
    }
  }
}

/**
 * These modules with the rows or columns that a budget counts and a measure scores; those of an attention head stay together if heads are
 * chosen.
 */
export function unitsOf(modules: readonly ModuleSpec[], { trains, heads }: Pick<MethodSettings, 'trains' | 'heads'>): readonly RowsOf[] {
  if (trains === 'columns') return modules.map(module => byColumns(module, heads ? columnsOfHead(module) : undefined));
  return heads ? modules.map(withBlocks) : modules;
}

const columnsOfHead = ({ head }: ModuleSpec): number | undefined => (head && 'columns' in head ? head.columns : undefined);

const withBlocks = (module: ModuleSpec): RowsOf => (module.head && 'rows' in module.head ? { ...module, block: module.head.rows } : module);

/** The first rows or columns that a budget covers: enough to know sizes. @throws SelectionError if a layer has fewer */
export function firstUnits(model: Model, settings: CouplingSettings & Pick<MethodSettings, 'budget' | 'heads'>): Selection {
  const modules = targetsByUnit(model, settings);
  if (settings.trains !== 'coupled') return firstRows(unitsOf(modules, settings), settings.budget);
  const equal = new Map(modules.map(({ name, weight }) => [name, new Float32Array(weight.shape[0] as number)]));
  return selectCoupled(groupsToTrain(model, settings), [], equal, settings);
}
