/**
 * Trained elements in PEFT's form: their changes and their indices, as tensors next to the weight. Ours are trained in place and need
 * neither.
 */
import type { Model } from '../../model/model-spec.ts';
import { valueFor } from '../../narrow.ts';
import type { AddedTensors } from '../method.ts';
import type { TrainedParts } from '../trained-parts.ts';

/** Name of the changes [k] of a module's elements. */
export const CHANGES = 'shira_weight';
/** Name of their indices [2, k]: rows, then columns. */
export const PLACES = 'shira_indices';

export const addedChanges: AddedTensors = {
  tensorEnds: [CHANGES, PLACES],
  expected: ({ changes }, { name, kind }, problems) => {
    const count = changes?.get(name);
    if (count === undefined) return [];
    if (kind !== 'linear') problems.push(`${name} is not a linear layer`);
    return [
      { name: `${name}.${CHANGES}`, shape: [count] },
      { name: `${name}.${PLACES}`, shape: [2, count] },
    ];
  },
  merger: (adapter, { tensors }) => {
    const { changes } = adapter.description;
    return (module, isBias) =>
      isBias || !changes?.has(module)
        ? undefined
        : weight => addChanges(weight, adapter, module, valueFor(tensors, `${module}.weight`).shape[1] ?? 1);
  },
  mistakes: async (adapter, model) => {
    const found: string[] = [];
    for (const module of adapter.description.changes?.keys() ?? []) found.push(...(await misplaced(adapter, model, module)));
    return found;
  },
};

async function addChanges(weight: Float32Array, adapter: TrainedParts, module: string, width: number): Promise<Float32Array> {
  const [changes, places] = [await adapter.readFloat32(`${module}.${CHANGES}`), await adapter.readFloat32(`${module}.${PLACES}`)];
  changes.forEach((change, i) => {
    const place = (places[i] as number) * width + (places[changes.length + i] as number);
    weight[place] = (weight[place] as number) + change;
  });
  return weight;
}

/** Reports the first index outside a module's weight. */
async function misplaced(adapter: TrainedParts, { modules }: Model, module: string): Promise<string[]> {
  const [out = 0, width = 0] = modules.find(({ name }) => name === module)?.weight.shape ?? [];
  const places = await adapter.readFloat32(`${module}.${PLACES}`);
  const isInside = (place: number, i: number): boolean =>
    Number.isInteger(place) && place >= 0 && place < (i < places.length / 2 ? out : width);
  const wrong = places.findIndex((place, i) => !isInside(place, i));
  if (wrong < 0) return [];
  return [`${module}.${PLACES} names the ${wrong < places.length / 2 ? 'row' : 'column'} ${places[wrong]} of a weight [${out},${width}]`];
}
