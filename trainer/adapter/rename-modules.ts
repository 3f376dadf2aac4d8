/**
 * An adapter of PEFT under the names of a model. PEFT has those of the class that it was trained as: with the name of the model without a head before
 * them (`bert.encoder.layer.0`), or, where that model was trained by itself, without.
 */
import { basePrefix, withoutBase } from '../method/peft-names.ts';
import type { Model } from '../model/model-spec.ts';
import { type Adapter, moduleOf } from './adapter.ts';

/** The adapter itself where its names are the model's. */
export function underNamesOf(adapter: Adapter, model: Model): Adapter {
  const { description, tensors, peftParameters = new Set() } = adapter;
  const known = new Set(model.modules.map(({ name }) => name));
  const prefix = basePrefix(model);
  const ownName = (name: string): string => {
    if (known.has(name)) return name;
    if (known.has(withoutBase(name))) return withoutBase(name);
    // Parameters of experts are no modules of the model.
    const isShort = known.has(prefix + name) || (peftParameters.has(name) && !name.startsWith(prefix));
    return isShort ? prefix + name : name;
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
