/** Which modules of a model a method tunes: `target_modules` and `freeze` of the recipe. */
import type { Model, ModelPart, ModuleSpec } from '../model/model-spec.ts';

export interface TargetSettings {
  readonly targetModules: readonly string[];
  readonly freeze: readonly ModelPart[];
}

/** target_modules that match nothing, or nothing left after freezing. */
export class TargetError extends Error {
  override name = 'TargetError';
}

const ALL_LINEAR = 'all-linear';

/**
 * The targeted modules, in the model's order. `all-linear` is every linear layer of the blocks (not the output head), as in PEFT.
 * @throws TargetError that names the entries matching nothing and the names that exist
 */
export function targetModules(model: Model, settings: TargetSettings): ModuleSpec[] {
  const matchers = settings.targetModules.map(entry => ({ entry, matches: matcherOf(entry) }));
  const idle = matchers.filter(({ matches }) => !model.modules.some(matches)).map(({ entry }) => entry);
  if (idle.length > 0)
    throw new TargetError(
      `target_modules ${idle.join(', ')} match nothing in this ${model.family}; its modules are ${moduleNames(model).join(', ')}`,
    );
  const chosen = model.modules.filter(module => matchers.some(({ matches }) => matches(module)) && !settings.freeze.includes(module.part));
  if (chosen.length === 0) throw new TargetError(`nothing is left to train: freeze [${settings.freeze.join(', ')}] covers every target`);
  return chosen;
}

/** The last parts of the modules' names, each once: q_proj, k_proj, … */
export const moduleNames = (model: Model): string[] => [...new Set(model.modules.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))];

function matcherOf(entry: string): (module: ModuleSpec) => boolean {
  if (entry === ALL_LINEAR) return module => (module.kind === 'linear' || module.kind === 'conv') && module.part !== 'head';
  if (entry.length > 2 && entry.startsWith('/') && entry.endsWith('/')) {
    const pattern = new RegExp(entry.slice(1, -1), 'u');
    return module => pattern.test(module.name);
  }
  return module => module.name === entry || module.name.endsWith(`.${entry}`);
}
