/** The weights of a model that can lie in the host's memory while a device computes: the matrices of its blocks. */
import type { VariableSpec } from '../graph/graph.ts';
import type { Place } from '../graph/program.ts';
import { byteSize } from '../graph/types.ts';
import type { Model } from './model-spec.ts';
import type { ModuleSpec } from './module-specs.ts';
import type { WeightStorage } from './weight-storage.ts';

/** Bytes from which a weight lies there: moving a smaller one saves less than it costs. */
export const HOSTED_FROM = 2 ** 14;

const HOSTED_KINDS: ReadonlySet<ModuleSpec['kind']> = new Set(['linear', 'experts', 'conv']);

/** The variables that hold them. @param from bytes of the smallest one */
export const hostable = ({ modules }: Pick<Model, 'modules'>, storage: WeightStorage, from: number): VariableSpec[] =>
  modules
    .filter(({ layer, kind }) => layer >= 0 && HOSTED_KINDS.has(kind))
    .flatMap(({ weight }) => storage.variables(weight))
    .filter(spec => byteSize(spec) >= from);

/** Their places in a model of which nothing is trained. @param from left out: none lies there @returns undefined where none does */
export const hostedUntrained = (
  model: Pick<Model, 'modules'>,
  storage: WeightStorage,
  from: number | undefined,
): ReadonlyMap<string, Place> | undefined =>
  from === undefined ? undefined : new Map(hostable(model, storage, from).map(({ name }): [string, Place] => [name, 'host']));

/** Bytes of the weights that lie there. @param hosted by variable */
export const hostedBytes = (
  { modules }: Pick<Model, 'modules'>,
  storage: WeightStorage,
  hosted: ReadonlyMap<string, Place> | undefined,
): number =>
  hostable({ modules }, storage, 0)
    .filter(({ name }) => hosted?.has(name))
    .reduce((sum, spec) => sum + byteSize(spec), 0);
