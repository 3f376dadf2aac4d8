/** The modules of a model that a method tunes: `target_modules`, `freeze` and `modules_to_save` of the recipe. */

import type { CausalModel, ClassifierModel, Model } from '../model/model-spec.ts';
import type { ModelPart, ModuleSpec } from '../model/module-specs.ts';
import { linearPattern } from '../protocol/text/linear-pattern.ts';

export interface TargetSettings {
  readonly targetModules: readonly string[];
  readonly freeze: readonly ModelPart[];
  /** Modules trained as a whole in addition to the method; `head` is the output head, whatever its name. */
  readonly modulesToSave?: readonly string[];
}

/** Error for target_modules that match nothing, or leave nothing after freezing. */
export class TargetError extends Error {
  override name = 'TargetError';
}

const ALL_LINEAR = 'all-linear';
const ALL_LINEAR_KINDS: ReadonlySet<ModuleSpec['kind']> = new Set<ModuleSpec['kind']>(['linear', 'experts', 'conv']);
const HEAD = 'head';

/**
 * The targeted modules in the model's order, without those that are trained as a whole. As in PEFT, `all-linear` means every linear layer
 * of the blocks (not the output head), including those of experts, and every convolution. Routers of experts are trained only if they are
 * named: a router that changes sends tokens to experts that never saw similar ones.
 * @throws TargetError that lists the entries without a match and the existing names
 */
export function targetModules(model: Model, settings: TargetSettings): ModuleSpec[] {
  const saved = new Set(savedModules(model, settings));
  const chosen = matching(model, settings.targetModules, 'target_modules').filter(
    module => !settings.freeze.includes(module.part) && !saved.has(module),
  );
  if (chosen.length === 0) {
    const reason = saved.size > 0 ? 'modules_to_save and freeze cover' : `freeze [${settings.freeze.join(', ')}] covers`;
    throw new TargetError(`nothing is left to train: ${reason} every target`);
  }
  return chosen;
}

/**
 * The modules in modules_to_save that are not frozen, and all that the weight file does not contain: a new head can only be trained as a
 * whole, and the adapter then holds all of it.
 * @throws TargetError as `targetModules`
 */
export function savedModules(model: Model, { modulesToSave = [], freeze }: TargetSettings): ModuleSpec[] {
  const named = new Set(
    matching(
      model,
      modulesToSave.filter(entry => entry !== HEAD),
      'modules_to_save',
    ),
  );
  const heads = new Set(modulesToSave.includes(HEAD) ? headModules(model) : []);
  const isNew = ({ weight, bias }: ModuleSpec): boolean => (weight.initial ?? bias?.initial) !== undefined;
  return model.modules.filter(module => isNew(module) || ((named.has(module) || heads.has(module)) && !freeze.includes(module.part)));
}

/** The modules of the output head. If the head of a language model is tied to the embedding, these are the embedding and the head's bias. */
export function headModules(
  model: Model & Partial<Pick<CausalModel, 'head' | 'headBias'> & Pick<ClassifierModel, 'heads'>>,
): readonly ModuleSpec[] {
  const { headBias } = model;
  return model.heads ?? (model.head ? [model.head, ...(headBias ? [headBias] : [])] : model.modules.filter(({ part }) => part === 'head'));
}

/** The last parts of the modules' names, without duplicates: q_proj, k_proj, … */
export const moduleNames = (model: Model): string[] => [...new Set(model.modules.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))];

/** True if an entry of target_modules or modules_to_save, other than 'head', matches a module of the model. */
export const matchesAny = (model: Model, entry: string): boolean => model.modules.some(matcherOf(entry));

function matching(model: Model, entries: readonly string[], setting: string): ModuleSpec[] {
  const matchers = entries.map(entry => ({ entry, matches: matcherOf(entry) }));
  const idle = matchers.filter(({ matches }) => !model.modules.some(matches)).map(({ entry }) => entry);
  if (idle.length > 0) {
    const names = `${idle.map(entry => `'${entry}'`).join(', ')} ${idle.length === 1 ? 'matches' : 'match'}`;
    throw new TargetError(`${setting}: ${names} nothing in this ${model.family}; its modules are ${moduleNames(model).join(', ')}`);
  }
  return model.modules.filter(module => matchers.some(({ matches }) => matches(module)));
}

/** The entry of target_modules that matches only the module with this name, and no module whose name ends with it. */
export const targetExactly = (name: string): string => `/^${name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}$/`;

function matcherOf(entry: string): (module: ModuleSpec) => boolean {
  if (entry === ALL_LINEAR) return module => ALL_LINEAR_KINDS.has(module.kind) && module.part !== 'head' && module.part !== 'router';
  if (entry.length > 2 && entry.startsWith('/') && entry.endsWith('/')) {
    const matches = linearPattern(entry.slice(1, -1));
    return module => matches(module.name);
  }
  return module => module.name === entry || module.name.endsWith(`.${entry}`);
}

/** True for the default of target_modules, which means the whole model for methods that are not about linear layers. */
export const targetsDefault = ({ targetModules: entries }: TargetSettings): boolean => entries.length === 1 && entries[0] === ALL_LINEAR;
