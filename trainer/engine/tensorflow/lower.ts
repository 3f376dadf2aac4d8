/** Lowers a program to one TensorFlow graph: all signatures, plus the nodes that load and read variables, over shared variables. */

import { aliasedRead, writtenVariables } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Planner } from '../../graph/fusion/plan.ts';
import type { Step } from '../../graph/fusion/step.ts';
import { isOp } from '../../graph/graph.ts';
import type { Node, VariableSpec } from '../../graph/node-store.ts';
import { usesOf } from '../../graph/offload.ts';
import { isPure } from '../../graph/op-table.ts';
import type { Program, Signature } from '../../graph/program.ts';
import { GraphError, type Shape, type TensorSpec } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import { Emitter, HOST } from './emitter.ts';
import { emitFewRows } from './few-rows.ts';
import { emitFused } from './fused.ts';
import { emitFeed, emitFetch } from './host-form.ts';
import { emitPlace } from './host-place.ts';
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
import { attr, type NodeDef } from './node-def.ts';
import { Mover, type Offloaded } from './offload-moves.ts';
import { emitUnpacked } from './unpacked.ts';

const loweringOf = <Op extends OpName>(op: Op): Lowering<Op> => lowerings[op];

/** One lowering per operation; a missing one is a compile error. */
export const lowerings: LoweringTable = {
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

/** A tensor at the graph's border: the node to feed or fetch, and the host's spec of it. */
export interface Port {
  readonly name: string;
  readonly node: string;
  readonly spec: TensorSpec;
}

/** Part of the error that a guarded signature ends with. */
export const GUARDED = 'compiled only';

export interface LoweredSignature {
  readonly feeds: readonly Port[];
  readonly outputs: readonly Port[];
  /** Fetched if there is no output: available once every effect has happened. */
  readonly done: string;
  /** Feed 0 to run; with NaN, nothing behind it runs, but the signature is compiled. */
  readonly guard: Port;
}

export interface LoweredVariable {
  readonly spec: VariableSpec;
  /**
   * The nodes that fill the variable: feed `load.node` and fetch `loaded`. Feed the address of an array if the engine copies from there
   * (`host-place.ts`), otherwise all values, or one value for all elements.
   */
  readonly load: Port;
  readonly loaded: string;
  readonly read: Port;
}

export interface LoweredProgram {
  readonly nodes: readonly NodeDef[];
  readonly signatures: ReadonlyMap<string, LoweredSignature>;
  readonly variables: ReadonlyMap<string, LoweredVariable>;
}

/** The capabilities of the kernels installed with the engine (without them, each node is a TensorFlow operation), and of the CPU. */
export interface Kernels extends Pick<LoweringContext<OpName>, 'hasProducts' | 'hasColumns' | 'hasNarrowKernels' | 'hasSums'> {
  /** True if variables are filled from a host array, by `native/operations/host-operation.cc`. */
  readonly copiesHost?: boolean;
  readonly plan: Planner;
}

/** Lowers a program. @param offload required if a variable's place is on disk */
export function lowerProgram(
  program: Program,
  { plan, copiesHost = false, ...abilities }: Kernels,
  offload: Offloaded = { file: -1, offsets: new Map() },
): LoweredProgram {
  const nodes: NodeDef[] = [];
  const handles = new Map<string, string>();
  const types = new Map<string, Node['dtype']>();
  const variables = new Map<string, LoweredVariable>();
  const shapes = new Emitter('d', nodes);
  const sources = new Emitter('v', nodes);
  const find = <T>(map: ReadonlyMap<string, T>, variable: string): T => {
    const found = map.get(variable);
    if (found === undefined) throw new GraphError(`variable ${variable} is not declared in the program`);
    return found;
  };
  const mover = new Mover(offload, { handle: v => find(handles, v), variableType: v => find(types, v) });
  program.variables.forEach((spec, i) => {
    const device = program.places?.has(spec.name) ? HOST : undefined;
    const attributes = { dtype: attr.type(spec.dtype), shape: attr.shape(spec.shape), shared_name: attr.string(`v${i}`) };
    const handle = sources.source('VarHandleOp', attributes, device);
    handles.set(spec.name, handle);
    types.set(spec.name, spec.dtype);
    variables.set(spec.name, lowerVariable(spec, handle, i, { nodes, dims: shape => shapes.ints(shape), device, mover, copiesHost }));
  });
  const signatures = new Map<string, LoweredSignature>();
  Object.entries(program.signatures).forEach(([name, signature], i) => {
    const emitter = new Emitter(`s${i}`, nodes);
    const isOnHost = (v: string): boolean => program.places?.has(v) ?? false;
    const lookup = { handle: (v: string) => find(handles, v), variableType: (v: string) => find(types, v), ...abilities, isOnHost, mover };
    signatures.set(name, lowerSignature(signature, plan(signature), emitter, lookup));
  });
  return { nodes, signatures, variables };
}

interface VariableNodes {
  readonly nodes: NodeDef[];
  /** Returns a shape as a constant, shared by all variables of that shape. */
  readonly dims: (shape: Shape) => string;
  readonly device: string | undefined;
  readonly mover: Mover;
  readonly copiesHost: boolean;
}

/** Lowers a variable in separate chains, so that loading one variable does not wait for another. */
function lowerVariable(spec: VariableSpec, handle: string, i: number, { nodes, device, mover, ...others }: VariableNodes): LoweredVariable {
  const T = attr.type(spec.dtype);
  const load = new Emitter(`l${i}`, nodes);
  load.device = device;
  const { placeholder, value } = others.copiesHost ? emitPlace(load, spec) : emitCopy(load, spec, others.dims);
  load.emit('AssignVariableOp', [handle, value], { dtype: T });
  if (mover.moves(spec.name)) mover.putAway(load, spec.name);
  const read = new Emitter(`r${i}`, nodes);
  read.device = device;
  const current = emitFetch(read, read.emit('ReadVariableOp', [handle], { dtype: T }), spec);
  return {
    spec,
    load: { name: spec.name, node: placeholder, spec },
    loaded: load.token(),
    read: { name: spec.name, node: current, spec },
  };
}

/** Emits a copy of the fed buffer, because that belongs to the host. */
function emitCopy(load: Emitter, spec: VariableSpec, dims: VariableNodes['dims']): { placeholder: string; value: string } {
  const T = attr.type(spec.dtype);
  const { placeholder, value } = emitFeed(load, spec, 'any shape');
  const filled = load.emit('BroadcastTo', [value, dims(spec.shape)], { T, Tidx: attr.type('int32') });
  return { placeholder, value: load.emit('DeepCopy', [filled], { T }) };
}

interface Lookup extends Omit<Kernels, 'plan' | 'copiesHost'> {
  readonly mover: Mover;
  isOnHost(variable: string): boolean;
  handle(variable: string): string;
  variableType(variable: string): Node['dtype'];
}

/** Returns the variables that a node itself reads or changes: it has to run on their device. */
const variablesOf = (node: Node): readonly string[] => (isOp(node, 'read') ? [node.attrs.variable] : writtenVariables(node));

function lowerSignature(signature: Signature, steps: readonly Step[], emitter: Emitter, lookup: Lookup): LoweredSignature {
  const { mover, isOnHost } = lookup;
  const values = new Map<Node, string>();
  const guardSpec = { shape: [], dtype: 'float32' } as const;
  const guard = emitFeed(emitter, guardSpec).placeholder;
  emitter.emit('CheckNumerics', [guard], { T: attr.type('float32'), message: attr.string(GUARDED) });
  const feeds = signature.feeds.map(node => {
    const { placeholder, value } = emitFeed(emitter, node);
    values.set(node, value);
    return { name: node.attrs.name, node: placeholder, spec: specOf(node) };
  });
  // An effect's output is a token; everything runs in order, so a token created now also stands for an earlier effect.
  const nameOf = (node: Node): string => {
    const known = values.get(node);
    if (known === undefined && isPure(node.op)) throw new GraphError(`${node.op} (node ${node.id}) is read before it is made`);
    return known ?? emitter.token();
  };
  const lastWrite = new Map(steps.flatMap(({ nodes }, i) => nodes.flatMap(writtenVariables).map(variable => [variable, i] as const)));
  const isOutput = new Set(Object.values(signature.outputs));
  const kept = new Map<Node, string>();
  const lower = (step: Step, i: number): void => {
    const { program } = step;
    if (program) {
      const names = emitFused(emitter, { ...step, program }, step.reads.map(nameOf));
      for (const [k, node] of step.nodes.entries()) values.set(node, elementAt(names, k));
      return;
    }
    const node = elementAt(step.nodes, 0);
    if (step.unpacking) {
      values.set(node, emitUnpacked(emitter, step.unpacking, node, step.reads.map(nameOf)));
      return;
    }
    if (step.fewRows) {
      values.set(node, emitFewRows(emitter, step.fewRows, node, step.reads.map(nameOf)));
      return;
    }
    if (node.op === 'feed') return;
    const lowering = loweringOf<OpName>(node.op);
    const inputs = node.op === 'group' ? [] : node.inputs.map(nameOf);
    const value = lowering({ node, attrs: node.attrs, inputs, emitter, ...lookup });
    if (value !== undefined) values.set(node, value);
    // A read is an alias of the variable: if it is an output, it must not change with a later write, or be moved to the variable's file.
    const alias = isOutput.has(node) ? aliasedRead(node)?.attrs.variable : undefined;
    if (value !== undefined && alias !== undefined && (i < (lastWrite.get(alias) ?? -1) || mover.moves(alias)))
      kept.set(node, emitter.emit('DeepCopy', [value], { T: attr.type(node.dtype) }));
  };
  const [comes, goes] = [new Map<number, string[]>(), new Map<number, string[]>()];
  for (const [variable, { first, last }] of usesOf(signature, steps, mover.variables)) {
    comes.set(first, [...(comes.get(first) ?? []), variable]);
    goes.set(last, [...(goes.get(last) ?? []), variable]);
  }
  steps.forEach((step, i) => {
    for (const variable of comes.get(i) ?? []) mover.bringBack(emitter, variable);
    if (step.nodes.some(node => node.onHost || variablesOf(node).some(isOnHost))) emitter.onHost(() => lower(step, i));
    else lower(step, i);
    for (const variable of goes.get(i) ?? []) mover.putAway(emitter, variable);
  });
  const fetched = Object.entries(signature.outputs).map(([name, node]) => {
    return { name, spec: specOf(node), node: emitFetch(emitter, kept.get(node) ?? nameOf(node), node) };
  });
  const outputs = fetched.map(port => ({ ...port, node: emitter.emit('Identity', [port.node], { T: attr.type(fetchedType(port.spec)) }) }));
  return { feeds, outputs, done: emitter.token(), guard: { name: 'guard', node: guard, spec: guardSpec } };
}

/** A port outlives the graph: a reference to a node would keep the whole graph alive. */
const specOf = ({ shape, dtype }: Node): TensorSpec => ({ shape, dtype });

const fetchedType = ({ dtype }: TensorSpec): Node['dtype'] => (dtype === 'float32' || dtype === 'bool' ? dtype : 'int32');
