/** The memory and cost of a run's passes, from the graph of all its blocks, or of a few where all are alike. */

import { engineCatalog } from '../../catalog/engines.ts';
import { cacheVariables } from '../../generate/decode-program.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { planner } from '../../graph/fusion/plan.ts';
import { type Step, singleSteps } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { packedBytes } from '../../graph/heap-packing.ts';
import { type BufferRules, liveness, nodesFlops } from '../../graph/liveness.ts';
import { mostAtHand, movedAt } from '../../graph/offload.ts';
import { assemble, type Signature } from '../../graph/program.ts';
import { type RecomputePolicy, sqrtBlocks } from '../../graph/recompute.ts';
import { orderedBySums } from '../../graph/split-at-sums.ts';
import { byteSize } from '../../graph/types.ts';
import { elementAt, lastOf, required } from '../../narrow.ts';
import { movedVariables } from '../../train/optimizer-offload.ts';
import { type BatchShape, shapeName } from '../../train/task.ts';
import { sharedTraces } from '../../train/train-program.ts';
import { type PlannedPass, passOf, type RunPlan } from '../run-plan.ts';
import { bufferRules, type EngineMemory, engineMemory, memoryOnGpu, type OverheadLaw, type ResultTables } from './engine-memory.ts';
import { hostedSizes } from './hosted-weights.ts';

export interface PassEstimate {
  /** Most bytes of tensors alive at once. */
  readonly activationBytes: number;
  readonly flops: number;
}

export interface MeasuredPass extends PassEstimate {
  /** Casts apart: see `workOf`. */
  readonly nodes: number;
  /** Bytes that the compiler takes in addition for what the pass has. */
  readonly compilerBytes: number;
  /** Among the nodes. */
  readonly convolutions: number;
  /** The size of a batch as it is fed. */
  readonly feedBytes: number;
}

/** Operations of TensorFlow that move a variable to disk and back. */
const NODES_OF_OFFLOADED = 6;

const CONVOLUTIONS: ReadonlySet<OpName> = new Set(['conv2d', 'conv2dInputGrad', 'conv2dFilterGrad']);

/** Levels that keep activations within a block from the forward to the backward pass. */
const KEEPS_ACTIVATIONS: ReadonlySet<RecomputePolicy> = new Set(['none', 'cheap']);

/** Units of a small model: the first, two in the middle, the last. */
const SMALL_UNITS = 4;
/** Two that follow each other, to see what each adds; those at the ends differ from them. */
const MIDDLE = [1, 2] as const;

/** Forward, backward, updates that wait for the end. */
const PHASES = [0, 1, 2] as const;

/** A model to trace in place of the whole one, which has `more` times its middle units. */
interface Depth extends Pick<RunPlan, 'model' | 'task' | 'attachment'> {
  /** Blocks of a unit: those that recomputation groups. */
  readonly unit: number;
  readonly more: number;
}

/**
 * If all blocks are alike, a schedule is that of a small model with the steps of a middle block repeated, forward, backward and where
 * updates wait for the end, and each repetition leaves as much more or less alive as the one before. So the two middle blocks of a small
 * model tell what each further block takes, or show that they are not alike: then the whole model is traced. Under `sqrt` it is groups of
 * blocks that repeat.
 */
export class PassTracer {
  private readonly plan: RunPlan;
  private readonly fuse: ReturnType<typeof planner>;
  private readonly ofBlocks: Depth | undefined;
  private readonly ofGroups: Depth | undefined;
  /** They depend on the level of recomputation only in whether steps are fused: by that and their batch. */
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

  /** As it is while training at this level. */
  evaluation(shape: BatchShape, recompute: RecomputePolicy): MeasuredPass {
    const isFused = this.isFused(recompute);
    const key = `${shapeName(shape)} ${isFused}`;
    const found = this.evaluations.get(key) ?? this.measure(this.ofBlocks, isFused, depth => this.plan.evalPass(shape, depth));
    this.evaluations.set(key, found);
    return found;
  }

  /** The signatures by which an evaluation writes answers, and the cache, which exists all the time. */
  answers(): { readonly passes: readonly MeasuredPass[]; readonly cacheBytes: number } {
    const { on, model, answerCache, answerTraces } = this.plan;
    const rules = bufferRules(on.engine, { variables: [] });
    const cache = answerCache && model.kind === 'causal' ? cacheVariables(model, answerCache.tokens, answerCache.slots) : [];
    return {
      passes: Object.values(answerTraces()).map(traced => this.measure(undefined, false, () => passOf(traced))),
      cacheBytes: cache.reduce((sum, variable) => sum + rules.bytes(variable), 0),
    };
  }

  /** Nodes that a program has once, whatever its shapes of batches: `variables`, what saves and restores, what applies. */
  sharedNodes(variables: number, offloaded: number): number {
    const { signatures } = assemble(sharedTraces(this.plan));
    return Object.values(signatures).reduce(
      (sum, { schedule }) => sum + schedule.length,
      engineMemory[this.plan.on.engine].overhead.nodesOfVariable * variables + NODES_OF_OFFLOADED * offloaded,
    );
  }

  /**
   * Fused steps keep less where activations are kept, since they compute again what costs nothing: by 9% of the activations in a large batch of
   * MiniLM at the level `cheap`. In bfloat16 they narrow their results, and weights of 4 bits are unpacked in one step. Elsewhere both take about the
   * same, and to plan them takes longer than to trace.
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
      // One that goes through all blocks twice takes something else in each of them.
      if (depth && pass.schedule.some(({ block }) => block >= depth.model.blocks)) return undefined;
      const {
        steps: stepsOf,
        rules,
        tables,
      } = memoryOnGpu(on) ?? {
        steps: isFused ? this.fuse : singleSteps,
        rules: bufferRules(on.engine, { variables }),
        tables: undefined,
      };
      const steps = stepsOf(pass);
      const { operations = {}, overhead } = engineMemory[on.engine];
      // What is copied at the start is that of all blocks.
      if (depth && pass.schedule.some(node => node.block >= 0 && (rules.copiedFirst?.(node) ?? []).length > 0)) return undefined;
      const hosted = hostedSizes(variables, depth?.attachment ?? attachment);
      const compiler = { operations, overhead };
      const found = deepened(pass, { steps, rules, tables, compiler, hosted, unit: depth?.unit ?? 1, more: depth?.more ?? 0 });
      // They have pages of their own, which nothing else takes while they are away: the two peaks add up whenever each comes.
      const sizes = new Map(movedVariables(depth?.attachment ?? attachment, optimizer).map(spec => [spec.name, byteSize(spec)]));
      return found && { ...found, activationBytes: found.activationBytes + mostAtHand(pass, steps, sizes) };
    };
    return (small && measureAt(small)) ?? required(measureAt(), 'the cost of the whole pass');
  }
}

interface Work {
  readonly flops: number;
  readonly nodes: number;
}

/** A phase and the unit at work in it, as one number. */
type Place = number;

const placeOf = (phase: number, unit: number): Place => PHASES.length * (unit + 1) + phase;

/** The place of each node that runs in this order; one that belongs to no block stands with the block before it. */
function nodePlaces(nodes: readonly Node[], unit: number): Place[] {
  let [phase, at] = [0, -1];
  return nodes.map(node => {
    const own = node.recomputed ? 1 : node.phase;
    if (own > phase) [phase, at] = [own, -1];
    if (node.block >= 0) at = Math.floor(node.block / unit);
    return placeOf(phase, at);
  });
}

/** The same, but that a variable is read where its value is first needed: all may be read before the first block. */
function workPlaces(schedule: readonly Node[], unit: number): Place[] {
  const places = nodePlaces(schedule, unit);
  const needed = new Map<Node, Place>();
  schedule.forEach(({ inputs }, i) => {
    for (const input of inputs) if (input.op === 'read' && !needed.has(input)) needed.set(input, elementAt(places, i));
  });
  return schedule.map((node, i) => needed.get(node) ?? elementAt(places, i));
}

type Operations = NonNullable<EngineMemory['operations']>;

/** In fused steps, a change of the element type is part of the step that makes or reads the value: no node of the engine's, unless it says so. */
const workOf = (nodes: readonly Node[], operations: Operations): Work => ({
  flops: nodesFlops(nodes),
  nodes: nodes.reduce((sum, { op }) => sum + (operations[op]?.nodes ?? (op === 'cast' ? 0 : 1)), 0),
});

interface Compiler {
  readonly operations: Operations;
  readonly overhead: Pick<OverheadLaw, 'compilerBytesOfKind' | 'compilerBytesOfNarrowKind'>;
}

interface DeepenParams extends Pick<Depth, 'unit' | 'more'> {
  readonly compiler: Compiler;
  readonly steps: readonly Step[];
  readonly rules: BufferRules;
  readonly tables: ResultTables | undefined;
  /** Bytes of weights that are moved to the device for their uses, by variable. */
  readonly hosted: ReadonlyMap<string, number>;
}

/** The cost of the signature with `more` additional middle units. @returns undefined where the two are not alike */
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
  // What lives outside of the schedule is there all the time.
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

/** Bytes of the tables that kernels of several results have, with those of `more` additional middle units. */
function tableBytes(places: readonly Place[], { tables, steps, more }: DeepenParams): number {
  if (!tables) return 0;
  const own = new Set(PHASES.map(phase => placeOf(phase, MIDDLE[0])));
  const found = new Set(tables.of(steps));
  const times = (place: Place): number => (own.has(place) ? 1 + more : 1);
  return tables.bytes * steps.reduce((sum, step, i) => sum + (found.has(step) ? times(elementAt(places, i)) : 0), 0);
}

/** The bytes of all kinds of operations, and the most that one operation has the compiler take in addition. */
function compilerBytesOf(schedule: readonly Node[], { operations, overhead }: Compiler): number {
  const totals = new Map<OpName, number>();
  for (const { op } of schedule) {
    const known = operations[op];
    if (known) totals.set(op, Math.min(known.compilerBytes[1], (totals.get(op) ?? 0) + known.compilerBytes[0]));
  }
  return bytesOfKinds(schedule, overhead) + Math.max(0, ...totals.values());
}

/** The bytes of the different operations, by the shapes and types of what they read and make. */
function bytesOfKinds(schedule: readonly Node[], { compilerBytesOfKind, compilerBytesOfNarrowKind }: Compiler['overhead']): number {
  if (compilerBytesOfKind === 0) return 0;
  const specsOf = (node: Node): readonly Node[] => [node, ...node.inputs];
  const kinds = new Map(
    schedule.map(node => [[node.op, ...specsOf(node).map(({ shape, dtype }) => `${dtype} ${shape}`)].join(', '), specsOf(node)]),
  );
  const isNarrow = (specs: readonly Node[]): boolean => specs.some(({ dtype }) => dtype === 'bfloat16');
  return compilerBytesOfKind * kinds.size + compilerBytesOfNarrowKind * [...kinds.values()].filter(isNarrow).length;
}

/** By how much more is alive in the second middle unit of each phase than in the first; undefined where that is not the same throughout. */
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

/** The same plan with two units between the first and the last, where that has fewer blocks; the last unit may be smaller than the others. */
function shallow({ model, atDepth }: RunPlan, unit: number): Depth | undefined {
  const more = Math.ceil(model.blocks / unit) - SMALL_UNITS;
  return more < 1 ? undefined : { ...atDepth(model.blocks - more * unit), unit, more };
}

/** Is each block as the next, in its sizes, its settings and what is trained of it? */
function blocksAreAlike({ config, model, evenly: { trainables } }: Pick<RunPlan, 'config' | 'model' | 'evenly'>): boolean {
  if (config.num_hidden_layers !== model.blocks) return false;
  // A list with an entry a block, or a number of the first block that differs, would mean another thing in a small model.
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
