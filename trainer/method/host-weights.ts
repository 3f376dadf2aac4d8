/** Base weights in host memory while a method trains: weights of which nothing or only a part is trained. */

import type { Place, SeparatePart } from '../graph/program.ts';
import { hostable } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import type { WeightStorage } from '../model/weight-storage.ts';
import type { Trainable } from './method.ts';

/**
 * @param of.trainables as the engine holds them: parts of weights, with their masters @param of.from minimum size of a weight in bytes
 * @returns the place of each weight on the host, by variable
 */
export function hostedWeights(
  model: Pick<Model, 'modules'>,
  storage: WeightStorage,
  { trainables, from }: { readonly trainables: readonly Trainable[]; readonly from: number },
): ReadonlyMap<string, Place> {
  const trained = new Map(trainables.map(trainable => [trainable.variable.name, trainable]));
  return new Map(
    hostable(model, storage, from).flatMap(({ name }): [string, Place][] => {
      const own = trained.get(name);
      if (!own) return [[name, 'host']];
      const apart = partOf(own);
      return apart ? [[name, apart]] : [];
    }),
  );
}

/** The part of a weight that the device holds while the weight is on the host; undefined for a weight that is trained as a whole. */
function partOf({ rows, columns, elements, master: values }: Trainable): SeparatePart | undefined {
  if (!values) return undefined;
  if (rows) return { of: 'rows', chosen: rows.variable, values };
  if (columns) return { of: 'columns', chosen: columns.variable, values };
  return elements && { of: 'elements', chosen: elements.variable, values };
}
