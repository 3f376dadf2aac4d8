/**
 * From a signature, or a part of it, to one StableHLO module, as text. Its arguments are the variables it uses, constants too large for the text,
 * the feeds, and what other parts give it; its results are the variables it changes, each in the buffer of its argument, what other parts read,
 * and the outputs. A variable in the memory of the host is moved to the device before it is first read, and back at the end if it was changed;
 * a weight of the base is moved for each pass of its block (`host-weights.ts`).
 */

import { writtenVariables } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Node, VariableSpec } from '../../graph/node-store.ts';
import { isOp } from '../../graph/node-store.ts';
import { isOnHost, type Program, partApart, type Signature } from '../../graph/program.ts';
import type { SumPart } from '../../graph/split-at-sums.ts';
import { GraphError, type HostArray, type TensorSpec } from '../../graph/types.ts';
import { elementAt, valueFor } from '../../narrow.ts';
import { BufferOrder } from './buffer-order.ts';
import { Emitter } from './emitter.ts';
import { hloType, tensorType, type Value } from './hlo-type.ts';
import { HostWeights, hostWeightsOf, placesOf, weightsByPart, withApart, writesApart } from './host-weights.ts';
import { KeptBarriers } from './kept-barriers.ts';
import { attentionLowerings } from './kernels/attention.ts';
import { convolutionLowerings } from './kernels/convolutions.ts';
import { effectLowerings } from './kernels/effects.ts';
import { elementwiseLowerings } from './kernels/elementwise.ts';
import { expertLowerings } from './kernels/experts.ts';
import { indexingLowerings } from './kernels/indexing.ts';
import { processLowerings } from './kernels/processes.ts';
import { productLowerings } from './kernels/products.ts';
import { reductionLowerings } from './kernels/reductions.ts';
import { shapeLowerings } from './kernels/shapes.ts';
import { sourceLowerings } from './kernels/sources.ts';
import type { Lowering, LoweringTable } from './lowering.ts';
import { DEVICE_MEMORY, HOST_MEMORY } from './memory-kinds.ts';
import { NarrowStateOrder } from './narrow-state-order.ts';
import { philoxFunction, philoxName, philoxResult } from './philox.ts';
import { RecomputeBarriers } from './recompute-barriers.ts';
import { WriteBarriers } from './write-barriers.ts';

const loweringOf = <Op extends OpName>(op: Op): Lowering<Op> => lowerings[op];

/** One lowering for each operation; a missing one does not compile. */
const lowerings: LoweringTable = {
  ...sourceLowerings,
  ...elementwiseLowerings,
  ...reductionLowerings,
  ...shapeLowerings,
  ...indexingLowerings,
  ...productLowerings,
  ...expertLowerings,
  ...attentionLowerings,
  ...convolutionLowerings,
  ...effectLowerings,
  ...processLowerings,
};

export interface ModuleConstant {
  readonly spec: TensorSpec;
  readonly value: () => HostArray;
}

export interface LoweredSignature {
  readonly text: string;
  /** The arguments, in their order: variables, then constants, then feeds, then what the part is given. */
  readonly variables: readonly string[];
  readonly constants: readonly ModuleConstant[];
  readonly feeds: readonly { readonly name: string; readonly spec: TensorSpec }[];
  /** The results, in their order: changed variables, then what the part keeps for others, then outputs. */
  readonly changed: readonly string[];
  readonly outputs: readonly { readonly name: string; readonly spec: TensorSpec }[];
  /** Variables whose value at the start counts. */
  readonly read: ReadonlySet<string>;
  /** The operation that each line of the text belongs to; undefined for lines that belong to none. */
  operationAt(line: number): string | undefined;
}

type Lowerable = Signature & Partial<Pick<SumPart, 'given' | 'kept'>>;

/** @throws GraphError where the signature uses a variable that the program does not declare, or an operation has no lowering */
export function lowerSignature(
  signature: Lowerable,
  specs: ReadonlyMap<string, VariableSpec>,
  allPlaces: Program['places'] = new Map(),
): LoweredSignature {
  const places = placesOf(signature, allPlaces);
  const emitter = new Emitter();
  const { replicas, given = [], kept = [] } = signature;
  const apart = new Set(signature.schedule.filter(node => writesApart(node, places)));
  const schedule = signature.schedule.filter(node => !apart.has(node));
  const changed = [...new Set(schedule.flatMap(writtenVariables))];
  const variables = [...new Set([...changed, ...schedule.flatMap(node => readVariables(node, places))])];
  const read = new Set<string>();
  const all = withApart(specs, places);
  const state = new Map(variables.map((name, i) => [name, named(`%v${i}`, specOf(all, name))]));
  const written = new Set<string>();
  const isHost = (name: string): boolean => isOnHost(places.get(name));
  const hostWeights = hostWeightsOf(places, { changed, results: [...kept, ...Object.values(signature.outputs)] });
  const constants: ModuleConstant[] = [];
  const known = new Map<HostArray | object, Value>();
  const philox = new Set<number>();
  const calls = new Map<string, readonly Value[]>();
  const values = new Map<Node, Value>(given.map((node, i) => [node, named(`%g${i}`, node)]));
  for (const node of apart) values.set(node, emitter.fill(1, 'i1'));
  const lastUses = new Map(schedule.flatMap(({ inputs }, i) => inputs.map(input => [input, i] as const)));
  const recomputed = new RecomputeBarriers(emitter, values, lastUses);
  const writes = new WriteBarriers({ emitter, values, schedule, weightOf: weightsByPart(hostWeights) });
  const order = new BufferOrder(emitter, values, schedule);
  const keeps = new KeptBarriers(emitter, values, schedule);
  const narrow = new NarrowStateOrder(emitter, values, schedule);
  const feeds = signature.feeds.map(({ attrs: { name, spec } }) => ({ name, spec }));
  const context = {
    emitter,
    replicas,
    get: (name: string) => {
      const value = valueFor(state, name);
      if (written.has(name) || (read.has(name) && isHost(name))) return value;
      read.add(name);
      if (!isHost(name) || hostWeights.has(name)) return value;
      const moved = emitter.place(value, DEVICE_MEMORY);
      state.set(name, moved);
      return moved;
    },
    set: (name: string, value: Value) => {
      written.add(name);
      state.set(name, value);
    },
    feed: (name: string) => {
      const at = feeds.findIndex(feed => feed.name === name);
      return named(`%f${at}`, elementAt(feeds, at).spec);
    },
    once: (key: string, call: () => readonly Value[]) => {
      const results = calls.get(key) ?? call();
      calls.set(key, results);
      return results;
    },
    randomBits: (seed: Value, blocks: number) => {
      philox.add(blocks);
      const result = philoxResult(blocks);
      return emitter.emit(
        result.shape,
        result.type,
        `func.call @${philoxName(blocks)}(${seed.name}) : (${tensorType(seed)}) -> ${tensorType(result)}`,
      );
    },
  };
  const hosted = new HostWeights({ emitter, values, recomputed, weights: hostWeights, get: context.get });
  const owners: string[] = [];
  for (const node of schedule) {
    const argument = (spec: TensorSpec, value: () => HostArray): Value => {
      const found = known.get(node.attrs);
      if (found) return found;
      const made = named(`%c${constants.push({ spec, value }) - 1}`, spec);
      known.set(node.attrs, made);
      return made;
    };
    const lowering = loweringOf(node.op);
    hosted.moveFor(node);
    const inputs = order.ordered(node, writes.guarded(node, recomputed.inputsOf(node)));
    values.set(node, lowering({ ...context, argument, node, attrs: node.attrs, inputs }));
    hosted.made(node);
    keeps.made(node);
    narrow.made(node, name => valueFor(state, name));
    order.made(node);
    recomputed.made(node);
    writes.made(node);
    while (owners.length < emitter.lines.length) owners.push(`${node.op} (node ${node.id})`);
  }
  const outputs = Object.entries(signature.outputs).map(([name, node]) => ({ name, spec: { shape: node.shape, dtype: node.dtype } }));
  const found = [...kept, ...Object.values(signature.outputs)];
  const finals = changed.map(name => (isHost(name) ? emitter.place(valueFor(state, name), HOST_MEMORY) : valueFor(state, name)));
  const results = [...finals, ...found.map(node => valueFor(values, node))];
  const parameters = parametersOf({ variables: variables.map(name => specOf(all, name)), changed, isHost, constants, feeds, given });
  const types = results.map(tensorType).join(', ');
  const placed = results.map((value, i) => withAttributes(tensorType(value), isHost(changed[i] ?? '') ? [ON_HOST] : []));
  const head = [
    replicas === undefined ? 'module @rowtune {' : `module @rowtune attributes {mhlo.num_replicas = ${replicas} : i32} {`,
    ...[...philox].flatMap(philoxFunction),
    `func.func public @main(${parameters.join(', ')}) -> (${placed.join(', ')}) {`,
  ];
  const end = results.length === 0 ? 'return' : `return ${results.map(({ name }) => name).join(', ')} : ${types}`;
  return {
    text: `${[...head, ...emitter.lines, end, '}', '}'].join('\n')}\n`,
    variables,
    constants,
    feeds,
    changed,
    outputs,
    read,
    operationAt: line => owners[line - 1 - head.length],
  };
}

/** The attribute of an argument or a result in the memory of the host. */
const ON_HOST = `mhlo.memory_kind = "${HOST_MEMORY}"`;

const withAttributes = (type: string, attributes: readonly string[]): string =>
  attributes.length === 0 ? type : `${type} {${attributes.join(', ')}}`;

interface ModuleArguments extends Pick<LoweredSignature, 'changed' | 'constants' | 'feeds'> {
  readonly variables: readonly VariableSpec[];
  readonly isHost: (name: string) => boolean;
  readonly given: readonly Node[];
}

function parametersOf({ variables, changed, isHost, constants, feeds, given }: ModuleArguments): string[] {
  const type = (spec: TensorSpec): string => tensorType(typeOf(spec));
  return [
    ...variables.map((spec, i) => {
      const at = changed.indexOf(spec.name);
      const attributes = [...(at < 0 ? [] : [`tf.aliasing_output = ${at} : i32`]), ...(isHost(spec.name) ? [ON_HOST] : [])];
      return `%v${i}: ${withAttributes(type(spec), attributes)}`;
    }),
    ...constants.map(({ spec }, i) => `%c${i}: ${type(spec)}`),
    ...feeds.map(({ spec }, i) => `%f${i}: ${type(spec)}`),
    ...given.map((node, i) => `%g${i}: ${type(node)}`),
  ];
}

/** A weight of which a part lies apart is read with it. */
function readVariables(node: Node, places: Program['places']): readonly string[] {
  if (!isOp(node, 'read')) return [];
  const { variable } = node.attrs;
  const apart = partApart(places?.get(variable));
  return apart ? [variable, apart.chosen.name, apart.values.name] : [variable];
}

function specOf(specs: ReadonlyMap<string, VariableSpec>, name: string): VariableSpec {
  const spec = specs.get(name);
  if (!spec) throw new GraphError(`variable ${name} is not declared in the program`);
  return spec;
}

const typeOf = ({ shape, dtype }: TensorSpec): Pick<Value, 'shape' | 'type'> => ({ shape, type: hloType(dtype) });

const named = (name: string, spec: TensorSpec): Value => ({ name, ...typeOf(spec) });
