/** Renames and reshapes an adapter of PEFT for a model whose weights have another form in the memory of Transformers. */
import { methods } from '../method/methods.ts';
import type { Model } from '../model/model-spec.ts';
import { isTransposed } from '../model/module-specs.ts';
import { transpose } from '../model/transpose.ts';
import { type Adapter, AdapterError } from './adapter.ts';
import { underNamesOf } from './rename-modules.ts';

/** @throws AdapterError that lists factors with other shapes than the model needs */
export async function fitAdapter(given: Adapter, model: Model): Promise<Adapter> {
  if (!given.peftParameters) return given;
  const renamed = underNamesOf(given, model);
  const { peftParameters = new Set() } = renamed;
  const adapter = inForm(renamed, model);
  const { dir, description, tensors } = adapter;
  const problems: string[] = [];
  const fitted = await methods[description.method].peft?.fromPeft?.fitToModel?.(adapter, peftParameters, model, problems);
  if (problems.length > 0)
    throw new AdapterError(dir, problems, `It was made for ${description.base.source || 'another model'}: give that model.`);
  if (!fitted || fitted.size === 0) return adapter;
  const added = [...fitted.values()].flat();
  const own = new Map(added.flatMap(({ a, b }) => [a, b].map(tensor => [tensor.name, tensor] as const)));
  const replaced = [...fitted.keys()].map(name => `${name}.`);
  const kept = [...tensors].filter(([name]) => !replaced.some(start => name.startsWith(start)));
  const names = new Set([...description.modules.filter(name => !fitted.has(name)), ...added.map(({ name }) => name)]);
  const order = new Map(model.modules.map(({ name }, i) => [name, i]));
  const placeOf = (name: string): number => order.get(name) ?? order.size;
  return {
    dir,
    description: {
      ...description,
      modules: [...names].sort((a, b) => placeOf(a) - placeOf(b)),
      lora: new Map([
        ...[...description.lora].filter(([name]) => !fitted.has(name)),
        ...added.map(({ name, rank }) => [name, rank] as const),
      ]),
    },
    tensors: new Map([...kept, ...own]),
    readFloat32: name => own.get(name)?.values() ?? adapter.readFloat32(name),
    close: () => adapter.close(),
  };
}

/**
 * The adapter with matrices that were trained whole in the model's form, if Transformers has them transposed; it is then no longer marked as
 * one of PEFT, so that it is converted once.
 */
function inForm(adapter: Adapter, { modules }: Model): Adapter {
  const shapes = new Map(
    modules.flatMap(({ weight }) => {
      const shape = isTransposed(weight) ? adapter.tensors.get(weight.name)?.shape : undefined;
      return shape ? [[weight.name, shape.toReversed()] as const] : [];
    }),
  );
  if (shapes.size === 0) return adapter;
  const { peftParameters: _, ...converted } = adapter;
  return {
    ...converted,
    tensors: new Map([...adapter.tensors].map(([name, tensor]) => [name, { ...tensor, shape: shapes.get(name) ?? tensor.shape }])),
    readFloat32: async name => {
      const [out] = shapes.get(name) ?? [];
      const values = await adapter.readFloat32(name);
      return out === undefined ? values : transpose(values, out);
    },
  };
}
