/**
 * Names of PEFT's tensors and targets. PEFT uses the names of the class that Transformers loads the base as, which may differ from those in
 * the base's files: `BertModel`, which computes vectors, has `encoder.layer.0`, and its class with a head `bert.encoder.layer.0`.
 */
import type { ModelConfig } from '../../format/model-config.ts';
import { basePrefix, nameInMemory } from '../../method/peft-names.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { isRecord } from '../../narrow.ts';
import { withHead } from '../merged/classifier-form.ts';

/** Returns the name in memory of a module or of one of its tensors. */
export type NameInMemory = (name: string) => string;

export function namesInMemory(model: AnyModel, config: ModelConfig): NameInMemory {
  const apart = model.modules.filter(({ inMemory }) => inMemory !== undefined);
  const ownName = (name: string): string => {
    const module = apart.find(({ name: own }) => name === own || name.startsWith(`${own}.`));
    return module?.inMemory === undefined ? name : module.inMemory + name.slice(module.name.length);
  };
  if (model.kind === 'classifier' && model.pooling) {
    const prefix = basePrefix(model);
    const isShorter = (name: string): boolean => name.startsWith(prefix);
    return name => nameInMemory(isShorter(name) ? ownName(name).slice(prefix.length) : ownName(name));
  }
  const { names } = withHead(model, config) ?? {};
  const [renamed] = [...(names ?? [])].filter(([own, name]) => own !== name);
  if (names === undefined || renamed === undefined) return name => nameInMemory(ownName(name));
  const prefix = renamed[1].slice(0, -renamed[0].length);
  const kept = new Set(model.modules.filter(({ weight }) => names.get(weight.name) === weight.name).map(({ name }) => name));
  const isKept = (name: string): boolean => kept.has(name) || [...kept].some(module => name.startsWith(`${module}.`));
  return name => nameInMemory(isKept(name) ? name : prefix + ownName(name));
}

/** Keys of adapter_config.json whose values are lists or records of module or parameter names. */
const NAMED = ['target_modules', 'modules_to_save', 'target_parameters', 'rank_pattern', 'alpha_pattern'];

/** Returns adapter_config.json with the names in memory. */
export function configInMemory(
  config: Readonly<Record<string, unknown>>,
  model: AnyModel,
  inMemory: NameInMemory,
): Record<string, unknown> {
  const all = model.modules.map(({ name }) => inMemory(name));
  const renamed = (key: string, value: unknown): unknown => {
    if (Array.isArray(value)) {
      const names = value.map(name => inMemory(String(name)));
      return key === 'target_modules' ? targetsOf(all, names) : names;
    }
    // PEFT matches the keys of a pattern as regular expressions against the end of a name.
    const keyOf = (name: string): string => (endsAnother(all, name) ? `^${name}` : name);
    return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, number]) => [keyOf(inMemory(name)), number])) : value;
  };
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, NAMED.includes(key) ? renamed(key, value) : value]));
}

/** Returns true if another name ends with this one, so that PEFT would target that module too. */
const endsAnother = (all: readonly string[], name: string): boolean => all.some(other => other.endsWith(`.${name}`));

/** Returns `target_modules` for these names: a list, or one pattern if another module's name ends with one of them. */
const targetsOf = (all: readonly string[], names: readonly string[]): readonly string[] | string =>
  names.some(name => endsAnother(all, name)) ? `^(${names.map(name => name.replaceAll('.', '\\.')).join('|')})$` : names;
