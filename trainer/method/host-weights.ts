/** The weights of the base that can lie in the host's memory: matrices of the blocks that no update touches, or of which rows are trained. */

import type { Place } from '../graph/program.ts';
import { byteSize } from '../graph/types.ts';
import type { Model } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { WeightStorage } from '../model/weight-storage.ts';
import type { Trainable } from './method.ts';

/** Bytes from which a weight lies there: moving a smaller one saves less than it costs. */
export const HOSTED_FROM = 2 ** 14;

const HOSTED_KINDS: ReadonlySet<ModuleSpec['kind']> = new Set(['linear', 'experts', 'conv']);

/** Whether a part of a weight can be trained while the weight lies on the host: its rows, which the device then holds. */
export const keepsRowsApart = ({ rows, columns, elements }: Trainable): boolean => Boolean(rows) && !columns && !elements;

/** @param of.trainables as the engine holds them, rows with their masters @param of.from bytes of the smallest weight @returns the place of each weight on the host, by variable */
export function hostedWeights(
  { modules }: Pick<Model, 'modules'>,
  storage: WeightStorage,
  { trainables, from }: { readonly trainables: readonly Trainable[]; readonly from: number },
): ReadonlyMap<string, Place> {
  const trained = new Map(trainables.map(trainable => [trainable.variable.name, trainable]));
  const matrices = modules.filter(({ layer, kind }) => layer >= 0 && HOSTED_KINDS.has(kind));
  return new Map(
    matrices
      .flatMap(({ weight }) => storage.variables(weight))
      .filter(spec => byteSize(spec) >= from)
      .flatMap(({ name }): [string, Place][] => {
        const own = trained.get(name);
        if (!own) return [[name, 'host']];
        return keepsRowsApart(own) && own.rows && own.master ? [[name, { rows: own.rows.variable, values: own.master }]] : [];
      }),
  );
}
