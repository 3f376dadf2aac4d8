/** The weights of a model that can stay in host memory while a device computes: the matrices of its blocks. */
import type { VariableSpec } from '../graph/graph.ts';
import type { Place } from '../graph/program.ts';
import { byteSize } from '../graph/types.ts';
import type { Model } from './model-spec.ts';
import type { ModuleSpec } from './module-specs.ts';
import type { WeightStorage } from './weight-storage.ts';

/** Size in bytes from which a weight is kept on the host: moving a smaller one saves less than it costs. */
export const HOSTED_FROM = 2 ** 14;

const HOSTED_KINDS: ReadonlySet<ModuleSpec['kind']> = new Set(['linear', 'experts', 'conv']);

/** The variables of these weights. @param from minimum size in bytes */
export const hostable = ({ modules }: Pick<Model, 'modules'>, storage: WeightStorage, from: number): VariableSpec[] =>
  modules
    .filter(({ layer, kind }) => layer >= 0 && HOSTED_KINDS.has(kind))
    .flatMap(({ weight }) => storage.variables(weight))
    .filter(spec => byteSize(spec) >= from);

/**
 * The places of these weights in a model that is not trained. @param from if undefined, none is on the host @returns undefined if there are
 * none
 */
export const hostedUntrained = (
  model: Pick<Model, 'modules'>,
  storage: WeightStorage,
  from: number | undefined,
): ReadonlyMap<string, Place> | undefined =>
  from === undefined ? undefined : new Map(hostable(model, storage, from).map(({ name }): [string, Place] => [name, 'host']));

/** Total bytes of the weights on the host. @param hosted by variable */
export const hostedBytes = (
  { modules }: Pick<Model, 'modules'>,
  storage: WeightStorage,
  hosted: ReadonlyMap<string, Place> | undefined,
): number =>
  hostable({ modules }, storage, 0)
    .filter(({ name }) => hosted?.has(name))
    .reduce((sum, spec) => sum + byteSize(spec), 0);
