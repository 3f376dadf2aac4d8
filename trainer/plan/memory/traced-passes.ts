/** The memory and cost of a run's passes, from the graph of all its blocks, or of only a few if all blocks are identical. */

import { engineCatalog } from '../../catalog/engines.ts';
import { cacheVariables } from '../../generate/decode-program.ts';
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { planner } from '../../graph/fusion/plan.ts';
import { type Step, singleSteps } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { packedBytes } from '../../graph/heap-packing.ts';
import { type BufferRules, liveness, nodesFlops } from '../../graph/liveness.ts';
import { movedAt, peakLoadedBytes } from '../../graph/offload.ts';
import { assemble, type Signature } from '../../graph/program.ts';
import { readersIn } from '../../graph/readers.ts';
import { type RecomputePolicy, sqrtBlocks } from '../../graph/recompute.ts';
import { orderedBySums } from '../../graph/split-at-sums.ts';
import { byteSize } from '../../graph/types.ts';
import { sizeKeyIn } from '../../model/size-keys.ts';
import { elementAt, lastOf, required } from '../../narrow.ts';
import { movedVariables } from '../../train/optimizer-offload.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';
import { type BatchShape, shapeName } from '../../train/task.ts';
import { sharedTraces } from '../../train/train-program.ts';
import { type PlannedPass, passOf, type RunPlan } from '../run-plan.ts';
import { bufferRules, type EngineMemory, engineMemory, memoryOnGpu, type OverheadModel, type ResultTables } from './engine-memory.ts';
import { hostedSizes } from './hosted-weights.ts';

export interface PassEstimate {
  /** Peak bytes of live tensors. */
  readonly activationBytes: number;
  readonly flops: number;
}

export interface MeasuredPass extends PassEstimate {
  /** Number of nodes; casts are counted separately: see `workOf`. */
  readonly nodes: number;
  /** Additional compiler bytes for the operations of the pass. */
  readonly compilerBytes: number;
  /** Convolutions among the nodes. */
  readonly convolutions: number;
  /** Bytes of a batch in the form in which it is fed. */
  readonly feedBytes: number;
}

/** TensorFlow operations that move a variable to disk and back. */
const NODES_OF_OFFLOADED = 6;

const CONVOLUTIONS: ReadonlySet<OpName> = new Set(['conv2d', 'conv2dInputGrad', 'conv2dFilterGrad']);

/** Levels that keep activations within a block from the forward to the backward pass. */
const KEEPS_ACTIVATIONS: ReadonlySet<RecomputePolicy> = new Set(['none', 'cheap']);

/** Units of a small model: the first, two in the middle, the last. */
const SMALL_UNITS = 4;
/** Two consecutive units, to measure what each adds; the first and last differ from them. */
const MIDDLE = [1, 2] as const;

/** Forward pass, backward pass, and updates that wait for its end. */
const PHASES = [0, 1, 2] as const;

/** A model to trace in place of the whole one, which has `more` additional middle units. */
interface Depth extends Pick<RunPlan, 'model' | 'task' | 'attachment'> {
  /** Blocks per unit: the blocks that recomputation groups. */
  readonly unit: number;
  readonly more: number;
}

/**
 * Measures passes. If all blocks are identical, the schedule of the whole model is that of a small model with the steps of a middle block
 * repeated, in the forward pass, the backward pass and the updates that wait for its end, and each repetition changes the live bytes by the
 * same amount. So the two middle blocks of a small model determine what each further block adds, or show that the blocks differ: then the
 * whole model is traced. Under `sqrt`, groups of blocks repeat.
 */
export class PassTracer {
  private readonly plan: RunPlan;
  private readonly fuse: ReturnType<typeof planner>;
  private readonly ofBlocks: Depth | undefined;
  private readonly ofGroups: Depth | undefined;
  /** Memoized evaluations, by batch shape and by whether steps are fused; the recompute level has no other effect on them. */
  private readonly evaluations = new Map<string, MeasuredPass>();

  /** @param fuse plans fused steps */
  constructor(plan: RunPlan, fuse: ReturnType<typeof planner>) {
    this.plan = plan;
    this.fuse = fuse;
    if (blocksAreAlike(plan)) {
      this.ofBlocks = shallow(plan, 1);
      this.ofGroups = shallow(plan, sqrtBlocks(plan.model.blocks));
    }
  }

  training(shape: BatchShape, recompute: RecomputePolicy): MeasuredPass {
    const small = recompute === 'sqrt' ? this.ofGroups : this.ofBlocks;
    const passes = this.plan.passesOf(shape).map(pass => ({
      ...this.measure(small, this.isFused(recompute), depth => this.plan.trainPass(pass, recompute, depth)),
      times: pass.times,
    }));
    return {
      activationBytes: Math.max(...passes.map(({ activationBytes }) => activationBytes)),
      flops: passes.reduce((sum, { flops, times }) => sum + times * flops, 0),
      nodes: passes.reduce((sum, { nodes }) => sum + nodes, 0),
      compilerBytes: Math.max(...passes.map(({ compilerBytes }) => compilerBytes)),
      convolutions: passes.reduce((sum, { convolutions }) => sum + convolutions, 0),
      feedBytes: passes.reduce((sum, { feedBytes, times }) => sum + times * feedBytes, 0),
    };
  }

  /** Returns the evaluation pass, with steps planned as in training at this level. */
  evaluation(shape: BatchShape, recompute: RecomputePolicy): MeasuredPass {
    const isFused = this.isFused(recompute);
    const key = `${shapeName(shape)} ${isFused}`;
    const found = this.evaluations.get(key) ?? this.measure(this.ofBlocks, isFused, depth => this.plan.evalPass(shape, depth));
    this.evaluations.set(key, found);
    return found;
  }

  /** Returns the signatures with which an evaluation writes answers, and the bytes of the cache, which exists throughout the run. */
  answers(): { readonly passes: readonly MeasuredPass[]; readonly cacheBytes: number } {
    const { on, model, attachment, answerCache, answerTraces } = this.plan;
    const rules = bufferRules(on.engine, { variables: [] });
    const cache = answerCache && model.kind === 'causal' ? cacheVariables(model, { ...attachment, ...answerCache }) : [];
    return {
      passes: Object.values(answerTraces()).map(traced => this.measure(undefined, false, () => passOf(traced))),
      cacheBytes: cache.reduce((sum, variable) => sum + rules.bytes(variable), 0),
    };
  }

  /**
   * Returns the number of nodes that a program has once, for any number of batch shapes: variables, saving and restoring, applying updates.
   */
  sharedNodes(variables: number, offloaded: number): number {
    const { signatures } = assemble(sharedTraces(this.plan));
    return Object.values(signatures).reduce(
      (sum, { schedule }) => sum + schedule.length,
      engineMemory[this.plan.on.engine].overhead.nodesOfVariable * variables + NODES_OF_OFFLOADED * offloaded,
    );
  }

  /**
   * Returns whether steps are fused. Fused steps use less memory if activations are kept, since they recompute what costs nothing: 9% of
   * the activations in a large batch of MiniLM at the level `cheap`. In bfloat16 they narrow their results, and 4-bit weights are unpacked
   * in one step. Otherwise both take about the same memory, and planning fused steps takes longer than tracing.
   */
  private isFused(recompute: RecomputePolicy): boolean {
    const { on, precision } = this.plan;
    return (
      engineCatalog[on.engine].fuses && (KEEPS_ACTIVATIONS.has(recompute) || precision.dtype === 'bfloat16' || precision.quantize === 'nf4')
    );
  }

  private measure(small: Depth | undefined, isFused: boolean, trace: (depth?: Depth) => PlannedPass): MeasuredPass {
    const { on, optimizer, attachment } = this.plan;
    const measureAt = (depth?: Depth): MeasuredPass | undefined => {
      const { signature, variables } = trace(depth);
      const pass = engineMemory[on.engine].sumsBetweenPrograms ? orderedBySums(signature) : signature;
      // A model that goes through all blocks twice uses different memory in each pass.
      if (depth && pass.schedule.some(({ block }) => block >= depth.model.blocks)) return undefined;
      const { steps: stepsOf, ...rest } = executionOf(on, variables, isFused ? this.fuse : singleSteps);
      const steps = stepsOf(pass);
      const { rules } = rest;
      // Copies made at the start cover all blocks, so a small model cannot be extrapolated.
      if (depth && copiesInBlocks(pass.schedule, rules)) return undefined;
      const hosted = hostedSizes(variables, depth?.attachment ?? attachment);
      const found = deepened(pass, { ...rest, steps, hosted, unit: depth?.unit ?? 1, more: depth?.more ?? 0 });
      // Offloaded variables have their own pages, which nothing else uses meanwhile, so the two peaks add up regardless of when each
      // occurs.
      const sizes = new Map(movedVariables(depth?.attachment ?? attachment, optimizer).map(spec => [spec.name, byteSize(spec)]));
      return found && { ...found, activationBytes: found.activationBytes + peakLoadedBytes(pass, steps, sizes) };
    };
    return (small && measureAt(small)) ?? required(measureAt(), 'the cost of the whole pass');
  }
}

/** Returns whether any block has copies that exist from the start. */
function copiesInBlocks(schedule: readonly Node[], { copiesAtStart }: BufferRules): boolean {
  if (!copiesAtStart) return false;
  const readersOf = readersIn(schedule);
  return schedule.some(node => node.block >= 0 && copiesAtStart(node, readersOf).length > 0);
}

/** Returns how the device that computes executes a signature. @param onCpu the steps of a schedule on a CPU */
function executionOf(on: ComputesOn, variables: PlannedPass['variables'], onCpu: (signature: Signature) => readonly Step[]) {
  const { operations = {}, overhead } = engineMemory[on.engine];
  const device = memoryOnGpu(on) ?? { steps: onCpu, rules: bufferRules(on.engine, { variables }), tables: undefined };
  const { steps, rules, tables } = device;
  return { steps, rules, tables, compiler: { operations, overhead } };
}

/**
 * Measures a pass that belongs to no plan, whose variables are all on the device that computes. On a GPU, its outputs are stored next to the
 * program's buffers, as its feeds are.
 */
export function measurePass(on: ComputesOn, { signature, variables }: PlannedPass): MeasuredPass {
  const { steps, ...rest } = executionOf(on, variables, singleSteps);
  const outputs = memoryOnGpu(on) ? new Set(Object.values(signature.outputs).map(bufferOf)) : new Set<Node>();
  const rules: BufferRules = { ...rest.rules, isOutside: node => outputs.has(node) || rest.rules.isOutside(node) };
  const found = deepened(signature, { ...rest, rules, steps: steps(signature), hosted: new Map(), unit: 1, more: 0 });
  const outputBytes = [...outputs].reduce((sum, node) => sum + rest.rules.bytes(node), 0);
  const pass = required(found, 'the cost of the pass');
  return { ...pass, activationBytes: pass.activationBytes + outputBytes };
}

interface Work {
  readonly flops: number;
  readonly nodes: number;
}

/** A phase and the unit within it, as one number. */
type Place = number;

const placeOf = (phase: number, unit: number): Place => PHASES.length * (unit + 1) + phase;

/** Returns the place of each node in execution order; a node outside any block counts with the preceding block. */
function nodePlaces(nodes: readonly Node[], unit: number): Place[] {
  let [phase, at] = [0, -1];
  return nodes.map(node => {
    const own = node.recomputed ? 1 : node.phase;
    if (own > phase) [phase, at] = [own, -1];
    if (node.block >= 0) at = Math.floor(node.block / unit);
    return placeOf(phase, at);
  });
}

/**
 * Returns the same, except that a variable's read counts where its value is first needed: all variables may be read before the first block.
 */
function workPlaces(schedule: readonly Node[], unit: number): Place[] {
  const places = nodePlaces(schedule, unit);
  const needed = new Map<Node, Place>();
  schedule.forEach(({ inputs }, i) => {
    for (const input of inputs) if (input.op === 'read' && !needed.has(input)) needed.set(input, elementAt(places, i));
  });
  return schedule.map((node, i) => needed.get(node) ?? elementAt(places, i));
}

type Operations = NonNullable<EngineMemory['operations']>;

/** Counts work. In fused steps a cast is part of the step that writes or reads the value, so it is not a node unless the engine says so. */
const workOf = (nodes: readonly Node[], operations: Operations): Work => ({
  flops: nodesFlops(nodes),
  nodes: nodes.reduce((sum, { op }) => sum + (operations[op]?.nodes ?? (op === 'cast' ? 0 : 1)), 0),
});

interface Compiler {
  readonly operations: Operations;
  readonly overhead: Pick<OverheadModel, 'compilerBytesOfKind' | 'compilerBytesOfNarrowKind'>;
}

interface DeepenParams extends Pick<Depth, 'unit' | 'more'> {
  readonly compiler: Compiler;
  readonly steps: readonly Step[];
  readonly rules: BufferRules;
  readonly tables: ResultTables | undefined;
  /** Bytes of weights that are moved to the device for their uses, by variable. */
  readonly hosted: ReadonlyMap<string, number>;
}

/** Returns the cost of the signature with `more` additional middle units. @returns undefined if the two middle units differ */
function deepened(signature: Signature, params: DeepenParams): MeasuredPass | undefined {
  const { steps, rules, compiler, hosted, unit, more } = params;
  const { schedule, feeds } = signature;
  const { operations } = compiler;
  const moved = movedAt(steps, hosted);
  const { bytes: alive, peakBytes, spans } = liveness(signature, steps, rules);
  const bytes = alive.map((own, i) => own + (moved[i] as number));
  const { flops, nodes } = workOf(schedule, operations);
  const known = {
    compilerBytes: compilerBytesOf(schedule, compiler),
    convolutions: schedule.filter(({ op }) => CONVOLUTIONS.has(op)).length,
    feedBytes: feeds.reduce((sum, { attrs }) => sum + byteSize(attrs.spec), 0),
  };
  const places = nodePlaces(
    steps.map(step => lastOf(step.nodes)),
    unit,
  );
  const holes = rules.packs === 'best fit' ? packedBytes(spans(), peakBytes) - peakBytes : 0;
  // Values outside the schedule exist throughout it.
  const fixedBytes = (feeds.some(rules.isOutside) ? known.feedBytes : 0) + tableBytes(places, params) + holes;
  if (more === 0) return { ...known, activationBytes: fixedBytes + bytes.reduce((most, each) => Math.max(most, each), 0), flops, nodes };

  const worked = workPlaces(schedule, unit);
  const workAt = (at: number): Work => {
    const own = new Set(PHASES.map(phase => placeOf(phase, at)));
    return workOf(
      schedule.filter((_, i) => own.has(elementAt(worked, i))),
      operations,
    );
  };
  const growth = growthOf(places, bytes);
  const [one, other] = [workAt(MIDDLE[0]), workAt(MIDDLE[1])];
  if (!growth || one.flops !== other.flops || one.nodes !== other.nodes) return undefined;
  let [added, most] = [0, 0];
  places.forEach((place, i) => {
    added += more * (growth.get(place) ?? 0);
    growth.delete(place);
    most = Math.max(most, (bytes[i] as number) + added);
  });
  return { ...known, activationBytes: fixedBytes + most, flops: flops + more * one.flops, nodes: nodes + more * one.nodes };
}

/** Returns the bytes of the tables of kernels with several results, including those of `more` additional middle units. */
function tableBytes(places: readonly Place[], { tables, steps, more }: DeepenParams): number {
  if (!tables) return 0;
  const own = new Set(PHASES.map(phase => placeOf(phase, MIDDLE[0])));
  const found = new Set(tables.of(steps));
  const times = (place: Place): number => (own.has(place) ? 1 + more : 1);
  return tables.bytes * steps.reduce((sum, step, i) => sum + (found.has(step) ? times(elementAt(places, i)) : 0), 0);
}

/** Returns the compiler bytes of all distinct operations, plus the maximum additional bytes of any one operation. */
function compilerBytesOf(schedule: readonly Node[], { operations, overhead }: Compiler): number {
  const totals = new Map<OpName, number>();
  for (const { op } of schedule) {
    const known = operations[op];
    if (known) totals.set(op, Math.min(known.compilerBytes[1], (totals.get(op) ?? 0) + known.compilerBytes[0]));
  }
  return bytesOfKinds(schedule, overhead) + Math.max(0, ...totals.values());
}

/** Returns the compiler bytes of the distinct operations, by the shapes and types of their inputs and outputs. */
function bytesOfKinds(schedule: readonly Node[], { compilerBytesOfKind, compilerBytesOfNarrowKind }: Compiler['overhead']): number {
  if (compilerBytesOfKind === 0) return 0;
  const specsOf = (node: Node): readonly Node[] => [node, ...node.inputs];
  const kinds = new Map(
    schedule.map(node => [[node.op, ...specsOf(node).map(({ shape, dtype }) => `${dtype} ${shape}`)].join(', '), specsOf(node)]),
  );
  const isNarrow = (specs: readonly Node[]): boolean => specs.some(({ dtype }) => dtype === 'bfloat16');
  return compilerBytesOfKind * kinds.size + compilerBytesOfNarrowKind * [...kinds.values()].filter(isNarrow).length;
}

/** Returns the growth of live bytes from the first to the second middle unit, for each phase; undefined if it is not uniform. */
function growthOf(places: readonly Place[], bytes: Float64Array): Map<Place, number> | undefined {
  const at = new Map<Place, number[]>();
  places.forEach((place, i) => {
    const known = at.get(place);
    if (known) known.push(bytes[i] as number);
    else at.set(place, [bytes[i] as number]);
  });
  const growth = new Map<Place, number>();
  for (const phase of PHASES) {
    const [lower, upper] = [placeOf(phase, MIDDLE[0]), placeOf(phase, MIDDLE[1])];
    const [first, second] = phase === 0 ? [lower, upper] : [upper, lower];
    const [before, after] = [at.get(first) ?? [], at.get(second) ?? []];
    const grows = (after[0] ?? 0) - (before[0] ?? 0);
    if (before.length !== after.length || before.some((value, i) => (after[i] as number) - value !== grows)) return undefined;
    growth.set(second, grows);
  }
  return growth;
}

/**
 * Returns the same plan with two units between the first and the last, if that has fewer blocks; the last unit may be smaller than the
 * others.
 */
function shallow({ model, atDepth }: RunPlan, unit: number): Depth | undefined {
  const more = Math.ceil(model.blocks / unit) - SMALL_UNITS;
  return more < 1 ? undefined : { ...atDepth(model.blocks - more * unit), unit, more };
}

/** Returns true if all blocks are identical in sizes, settings and trained parameters. */
function blocksAreAlike({ config, model, evenly: { trainables } }: Pick<RunPlan, 'config' | 'model' | 'evenly'>): boolean {
  if (config[sizeKeyIn(config, 'num_hidden_layers')] !== model.blocks) return false;
  // A list with an entry per block, or the index of the first block that differs, would mean something else in a small model.
  const isByBlock = Object.values(config).some(value => Array.isArray(value) && value.length === model.blocks);
  if (isByBlock || config.use_sliding_window === true) return false;
  const trained = new Map(trainables.map(({ variable, name, shape }) => [variable.name, `${name.replace(/\d+/, '')} ${shape}`]));
  const inBlock = new Map<number, string[]>();
  for (const { name, layer, weight, bias } of model.modules) {
    if (layer < 0) continue;
    const parts = [weight, ...(bias ? [bias] : [])].map(({ shape, name: of }) => `${shape} ${trained.get(of) ?? ''}`);
    inBlock.set(layer, [...(inBlock.get(layer) ?? []), `${name.replace(/\d+/, '')} ${parts.join(' ')}`]);
  }
  const described = new Set([...inBlock.values()].map(parts => parts.join('\n')));
  const counts = new Map<string, number>();
  for (const { name, shape } of trainables) {
    const layer = /\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined)
      counts.set(`${name.replace(/\d+/, '')} ${shape}`, (counts.get(`${name.replace(/\d+/, '')} ${shape}`) ?? 0) + 1);
  }
  return described.size === 1 && [...counts.values()].every(count => count === model.blocks);
}
