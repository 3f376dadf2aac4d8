/** Trained elements in PEFT's SHiRA form: the changes of as many elements as LoRA's factors of rank r have, and their indices. */

import { isTransposed, type ModuleSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import type { PeftFile, PeftForm, PeftParts, PeftTensor } from '../peft-form.ts';
import type { TrainedParts } from '../trained-parts.ts';
import { CHANGES, PLACES } from './merge.ts';

export const elementsInPeft: PeftForm = {
  type: 'SHIRA',
  takesElements: true,
  refuses: ({ description: { elements } }, { name, kind, weight }) =>
    elements.has(name) && (kind !== 'linear' || isTransposed(weight)) ? 'PEFT has SHiRA for linear layers alone' : undefined,
  toPeft: ({ weights, adapter, modules }) => ({
    tensors: modules.flatMap(module => elementTensors(weights, adapter, module)),
    config: {
      peft_type: 'SHIRA',
      r: modules[0] ? rankOf(adapter, modules[0]) : 1,
      mask_type: 'random',
      random_seed: null,
      init_weights: true,
      target_modules: modules.map(({ name }) => name),
    },
  }),
  fromPeft: { reads: () => true, partsOf },
};

/** The rank whose factors have as many elements as a module trains. */
function rankOf({ description, tensors }: TrainedParts, { name, weight: { shape } }: ModuleSpec): number {
  const count = description.elements.get(name)?.length ?? tensors.get(`${name}.${CHANGES}`)?.shape[0] ?? 0;
  return count / ((shape[0] ?? 0) + (shape[1] ?? 0));
}

function elementTensors(weights: WeightSource, adapter: TrainedParts, { name, weight }: ModuleSpec): PeftTensor[] {
  const elements = adapter.description.elements.get(name);
  const count = elements?.length ?? adapter.tensors.get(`${name}.${CHANGES}`)?.shape[0] ?? 0;
  return [
    {
      name: `${name}.${CHANGES}`,
      shape: [count],
      values: async () => (elements ? changesOf(weights, adapter, weight.name, elements) : adapter.readFloat32(`${name}.${CHANGES}`)),
    },
    {
      name: `${name}.${PLACES}`,
      shape: [2, count],
      isIndex: true,
      values: async () => (elements ? placesOf(elements, weight.shape[1] ?? 1) : adapter.readFloat32(`${name}.${PLACES}`)),
    },
  ];
}

/** Trained minus base elements, [k]. */
async function changesOf(weights: WeightSource, adapter: TrainedParts, name: string, elements: Int32Array): Promise<Float32Array> {
  const base = await weights.readFloat32(name);
  const trained = await adapter.readFloat32(name);
  return trained.map((value, i) => value - (base[elements[i] as number] as number));
}

/** The indices as rows, then columns: [2, k]. */
function placesOf(elements: Int32Array, width: number): Float32Array {
  const places = new Float32Array(2 * elements.length);
  elements.forEach((place, i) => {
    places[i] = Math.floor(place / width);
    places[elements.length + i] = place % width;
  });
  return places;
}

function partsOf({ shapes }: PeftFile, problems: string[]): PeftParts {
  const changes = new Map<string, number>();
  for (const [tensor, shape] of shapes) {
    if (!tensor.endsWith(`.${CHANGES}`)) continue;
    const [count = 0] = shape;
    if (shape.length !== 1 || count === 0) problems.push(`${tensor} is [${shape}], expected one number for each element`);
    changes.set(tensor.slice(0, -CHANGES.length - 1), count);
  }
  return { modules: [...changes.keys()], changes };
}
