/**
 * Lowers a signature, or a part of it, to one StableHLO module as text. Its arguments are the variables it uses, constants too large for
 * the text, the feeds, and values from other parts; its results are the variables it changes, each in its argument's buffer, values that
 * other parts read, and the outputs. A variable in the host's memory is moved to the device before its first read, and back at the end if
 * it was changed; a base weight is moved for each pass of its block (`order/host-weights.ts`).
 */

import { writtenVariables } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Node, VariableSpec } from '../../graph/node-store.ts';
import type { Program, Signature } from '../../graph/program.ts';
import type { SumPart } from '../../graph/split-at-sums.ts';
import { elementCount, type TensorSpec } from '../../graph/types.ts';
import type { SplittingCard } from '../../graph/xla-split-sums.ts';
import { valueFor } from '../../narrow.ts';
import { MARKS, type Mark } from './compile-options.ts';
import { Emitter, namesOf } from './emitter.ts';
import { tensorType, type Value } from './hlo-type.ts';
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
import type { Lowering, LoweringContext, LoweringTable } from './lowering.ts';
import { type ModuleConstant, ModuleState, named } from './module-state.ts';
import { hostWeightsOf, onlyWritesSeparateParts, placesOf } from './order/host-weights.ts';
import { ProgramOrder } from './order/program-order.ts';

const loweringOf = <Op extends OpName>(op: Op): Lowering<Op> => lowerings[op];

/** One lowering per operation; a missing one is a compile error. */
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

export interface LoweredSignature {
  readonly text: string;
  /** Arguments, in order: variables, then constants, then feeds, then values from other parts. */
  readonly variables: readonly string[];
  readonly constants: readonly ModuleConstant[];
  readonly feeds: readonly { readonly name: string; readonly spec: TensorSpec }[];
  /** Results, in order: changed variables, then values kept for other parts, then outputs. */
  readonly changed: readonly string[];
  readonly outputs: readonly { readonly name: string; readonly spec: TensorSpec }[];
  /** Variables whose initial value is used. */
  readonly read: ReadonlySet<string>;
  /** Returns the operation that a line of the text belongs to; undefined for lines that belong to none. */
  operationAt(line: number): string | undefined;
}

type Lowerable = Signature & Partial<Pick<SumPart, 'given' | 'kept'>>;

export interface LoweringTarget {
  readonly places?: Program['places'];
  /** The card that computes; undefined for any other device. */
  readonly card?: SplittingCard | undefined;
}

/**
 * Lowers a signature.
 * @param target the places of variables that are not on the device, and the card, for whose compiler products are padded
 * @throws GraphError if the signature uses a variable that the program does not declare, or an operation has no lowering
 */
export function lowerSignature(
  signature: Lowerable,
  specs: ReadonlyMap<string, VariableSpec>,
  { places: allPlaces = new Map(), card }: LoweringTarget = {},
): LoweredSignature {
  const places = placesOf(signature, allPlaces);
  const emitter = new Emitter();
  const { replicas, given = [], kept = [] } = signature;
  const separate = new Set(signature.schedule.filter(node => onlyWritesSeparateParts(node, places)));
  const schedule = signature.schedule.filter(node => !separate.has(node));
  const found = [...kept, ...Object.values(signature.outputs)];
  const changed = [...new Set(schedule.flatMap(writtenVariables))];
  const hostWeights = hostWeightsOf(places, { changed, results: found });
  const state = new ModuleState({
    ...{ emitter, schedule, changed, specs, places, feeds: signature.feeds },
    isMoved: name => hostWeights.has(name),
  });
  const values = new Map<Node, Value>(given.map((node, i) => [node, named(`%g${i}`, node)]));
  for (const node of separate) values.set(node, emitter.fill(1, 'i1'));
  const owners = lowerNodes({ emitter, values, schedule, state, hostWeights, replicas, card });
  const results = [...state.results(), ...found.map(node => valueFor(values, node))];
  const head = [
    ...marksOf(schedule, emitter).map(mark => MARKS[mark]),
    replicas === undefined ? 'module @rowtune {' : `module @rowtune attributes {mhlo.num_replicas = ${replicas} : i32} {`,
    ...state.functions(),
    `func.func public @main(${state.parameters(given).join(', ')}) -> (${state.resultTypes(results)}) {`,
  ];
  const end = results.length === 0 ? 'return' : `return ${namesOf(results)} : ${results.map(tensorType).join(', ')}`;
  const { variables, constants, feeds, read } = state;
  return {
    text: `${[...head, ...emitter.lines, end, '}', '}'].join('\n')}\n`,
    ...{ variables, constants, feeds, changed, read },
    outputs: Object.entries(signature.outputs).map(([name, { shape, dtype }]) => ({ name, spec: { shape, dtype } })),
    operationAt: line => owners[line - 1 - head.length],
  };
}

/**
 * Maximum number of values that a small module computes. Optimized code for as many takes 10 to 50 ms less per step, and 3 to 10 s more to
 * compile (two cores with AVX2).
 */
const FEW_VALUES = 2 ** 25;

/** Returns the marks of a module that computes these nodes. */
function marksOf(schedule: readonly Node[], { isUnordered }: Emitter): readonly Mark[] {
  const values = schedule.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return [...(isUnordered ? (['unordered'] as const) : []), ...(values <= FEW_VALUES ? (['small'] as const) : [])];
}

interface NodesParams extends Pick<LoweringContext<OpName>, 'emitter' | 'replicas' | 'card'> {
  readonly values: Map<Node, Value>;
  readonly schedule: readonly Node[];
  readonly state: ModuleState;
  readonly hostWeights: ReturnType<typeof hostWeightsOf>;
}

/** Emits all operations in order. @returns the operation that each line belongs to */
function lowerNodes({ emitter, values, schedule, state, hostWeights, replicas, card }: NodesParams): string[] {
  const { get, set, feed, once, randomBits, newest } = state;
  const order = new ProgramOrder({ emitter, values, schedule, hostWeights, get, newest });
  const owners: string[] = [];
  for (const node of schedule) {
    const inputs = order.inputsOf(node);
    const argument: LoweringContext<OpName>['argument'] = (spec, value) => state.argument(node, spec, value);
    const context = { emitter, replicas, card, get, set, feed, once, randomBits, argument };
    values.set(node, loweringOf(node.op)({ ...context, node, attrs: node.attrs, inputs }));
    order.made(node);
    while (owners.length < emitter.lines.length) owners.push(`${node.op} (node ${node.id})`);
  }
  return owners;
}
