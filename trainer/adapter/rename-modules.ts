/**
 * Renames the modules of a PEFT adapter to those of a model. PEFT uses the names of the class that was trained: with the prefix of the model
 * without a head (`bert.encoder.layer.0`), or without it if the model without a head was trained by itself; and with names of modules in
 * memory (`ModuleSpec.inMemory`).
 */
import { basePrefix, withoutBase } from '../method/peft-names.ts';
import type { Model } from '../model/model-spec.ts';
import { type Adapter, moduleOf } from './adapter.ts';

/** Returns the adapter under the model's names; the same object if it has them already. */
export function underNamesOf(adapter: Adapter, model: Model): Adapter {
  const { description, tensors, peftParameters = new Set() } = adapter;
  const known = new Set(model.modules.map(({ name }) => name));
  const byMemory = new Map(model.modules.map(({ name, inMemory = name }) => [inMemory, name]));
  const prefix = basePrefix(model);
  const found = (name: string): string | undefined => byMemory.get(name) ?? (known.has(name) ? name : undefined);
  const ownName = (name: string): string => {
    // Parameters of experts are not modules of the model.
    const isShort = peftParameters.has(name) && !name.startsWith(prefix);
    return found(name) ?? found(withoutBase(name)) ?? found(prefix + name) ?? (isShort ? prefix + name : name);
  };
  const renamed = new Map([...description.modules, ...peftParameters].map(name => [name, ownName(name)]));
  if ([...renamed].every(([name, own]) => name === own)) return adapter;
  const own = (name: string): string => renamed.get(name) ?? name;
  const ofTensor = (name: string): string => own(moduleOf(name)) + name.slice(moduleOf(name).length);
  const given = new Map([...tensors.keys()].map(name => [ofTensor(name), name]));
  const { lora, changes } = description;
  return {
    ...adapter,
    description: {
      ...description,
      modules: description.modules.map(own),
      whole: description.whole.map(own),
      lora: new Map([...lora].map(([name, rank]) => [own(name), rank])),
      ...(changes && { changes: new Map([...changes].map(([name, count]) => [own(name), count])) }),
    },
    tensors: new Map([...tensors].map(([name, tensor]) => [ofTensor(name), { ...tensor, name: ofTensor(name) }])),
    peftParameters: new Set([...peftParameters].map(own)),
    readFloat32: name => adapter.readFloat32(given.get(name) ?? name),
  };
}
