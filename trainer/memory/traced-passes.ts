/** What the passes of a run take and cost, from the graph of all its blocks, or of a few where all are alike. */
import { type planner, type Step, singleSteps } from '../graph/fusion/plan.ts';
import type { Node } from '../graph/graph.ts';
import { type BufferRules, liveness, nodesFlops } from '../graph/liveness.ts';
import { assemble, type Signature, type Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { byteSize } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { type ConfigJson, loadModel } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { EngineName, Recipe } from '../protocol/recipe-schema.ts';
import { type BatchShape, shapeName } from '../train/task.ts';
import { sharedTraces, traceEval, traceTrain } from '../train/train-program.ts';
import { bufferRules } from './engine-buffers.ts';
import { plannedParams } from './planned-program.ts';

export interface PassEstimate {
  /** Most bytes of tensors alive at once. */
  readonly activationBytes: number;
  readonly flops: number;
}

/** The passes of one shape of batch. */
export interface TracedPasses {
  /** `feedBytes`: of a batch, as it comes in. */
  readonly training: PassEstimate & { readonly nodes: number; readonly feedBytes: number };
  readonly evaluation: PassEstimate & { readonly nodes: number; readonly feedBytes: number };
}

export interface PassShapes {
  readonly shape: BatchShape;
  readonly evalShape: BatchShape;
}

/** Operations of TensorFlow that declare, fill and read a variable, besides what the programs themselves do with it. */
const NODES_OF_VARIABLE = 9;

/** Blocks of the small model: two at each end differ from those between, of which there are two, to see what each adds. */
const DEPTH = 6;
const MIDDLE = [2, 3] as const;
/** Forward, backward, updates that wait for the end. */
const PHASES = [0, 1, 2] as const;

export interface PassTracerParams {
  readonly engine: EngineName;
  readonly config: ConfigJson;
  readonly recipe: Recipe;
  readonly model: AnyModel;
  readonly attachment: Attachment;
  /** The same method on a model of the same family. */
  readonly attach: (model: AnyModel) => Attachment;
  /** Plans fused steps. */
  readonly plan: ReturnType<typeof planner>;
}

interface Depth {
  readonly model: AnyModel;
  readonly attachment: Attachment;
  /** Evaluations depend on the level of recomputation only in whether steps are fused: by that and their batch. */
  readonly evaluations: Map<string, MeasuredPass>;
}

/**
 * Where all blocks are alike, a schedule is that of a small model with the steps of a middle block repeated, forward, backward and where
 * updates wait for the end, and each repetition leaves as much more or less alive as the one before. So the two middle blocks of a small
 * model tell what each further block takes, or show that they are not alike: then the whole model is traced.
 */
export class PassTracer {
  private readonly params: PassTracerParams;
  private readonly whole: Depth;
  private readonly small: Depth | undefined;

  constructor(params: PassTracerParams) {
    this.params = params;
    this.whole = { model: params.model, attachment: params.attachment, evaluations: new Map() };
    this.small = shallowModel(params);
  }

  passes(shapes: PassShapes, recompute: RecomputePolicy): TracedPasses {
    const { blocks } = this.whole.model;
    // Under sqrt blocks are grouped by their number, so that a small model has other groups.
    const small = recompute === 'sqrt' ? undefined : this.small && this.measure(this.small, shapes, recompute);
    return (small && deepen(small, blocks - DEPTH)) ?? deepen(this.measure(this.whole, shapes, recompute), 0) as TracedPasses;
  }

  /** Nodes that a program has once, whatever its shapes of batches: `variables`, what saves and restores, what applies. */
  sharedNodes(variables: number): number {
    const { recipe, model, attachment } = this.params;
    const { signatures } = assemble(sharedTraces({ ...plannedParams(recipe, model), attachment }));
    return Object.values(signatures).reduce((sum, { schedule }) => sum + schedule.length, NODES_OF_VARIABLE * variables);
  }

  private measure({ model, attachment, evaluations }: Depth, { shape, evalShape }: PassShapes, recompute: RecomputePolicy): Measured {
    const { recipe, engine, plan } = this.params;
    const params = { ...plannedParams(recipe, model), attachment, recompute };
    // Where everything is kept, fused steps keep less, since they compute again what costs nothing; elsewhere both take the same to a
    // hundredth (held by a test), and to plan them takes as long as to trace.
    const isFused = engine === 'tensorflow' && recompute === 'none';
    const passOf = (traced: Traced): MeasuredPass => {
      const { signatures, variables } = assemble({ pass: traced });
      const pass = signatures.pass as Signature;
      return measurePass(pass, (isFused ? plan : singleSteps)(pass), bufferRules(engine, { variables }));
    };
    const key = `${shapeName(evalShape)} ${isFused}`;
    const evaluation = evaluations.get(key) ?? passOf(traceEval(params, evalShape));
    evaluations.set(key, evaluation);
    return { training: passOf(traceTrain(params, shape)), evaluation };
  }
}

interface Measured {
  readonly training: MeasuredPass;
  readonly evaluation: MeasuredPass;
}

interface Work {
  readonly flops: number;
  readonly nodes: number;
}

interface MeasuredPass extends Work {
  /** Of each step in turn: where it stands, and the bytes alive at it. */
  readonly places: readonly Place[];
  readonly bytes: Float64Array;
  /** Of the middle blocks. */
  readonly middle: readonly Work[];
  readonly feedBytes: number;
}

/** The block at work in a phase, as `placeName` gives it. */
type Place = `${number} ${number}`;

const placeName = (phase: number, block: number): Place => `${phase} ${block}`;

/** Where each node stands that runs in this order; one that belongs to no block stands with the block before it. */
function placesOf(nodes: readonly Node[]): Place[] {
  let [phase, block] = [0, -1];
  return nodes.map(node => {
    const own = node.recomputed ? 1 : node.phase;
    if (own > phase) [phase, block] = [own, -1];
    if (node.block >= 0) block = node.block;
    return placeName(phase, block);
  });
}

/** The same, but that a variable is read where its value is first needed: all may be read before the first block. */
function workPlaces(schedule: readonly Node[]): Place[] {
  const places = placesOf(schedule);
  const needed = new Map<Node, Place>();
  schedule.forEach(({ inputs }, i) => {
    for (const input of inputs) if (input.op === 'read' && !needed.has(input)) needed.set(input, places[i] as Place);
  });
  return schedule.map((node, i) => needed.get(node) ?? (places[i] as Place));
}

function measurePass(signature: Signature, steps: readonly Step[], rules: BufferRules): MeasuredPass {
  const { schedule, feeds } = signature;
  const places = workPlaces(schedule);
  const isOf = (block: number): ReadonlySet<Place> => new Set(PHASES.map(phase => placeName(phase, block)));
  const workOf = (nodes: readonly Node[]): Work => ({ flops: nodesFlops(nodes), nodes: nodes.length });
  return {
    places: placesOf(steps.map(({ nodes }) => nodes.at(-1) as Node)),
    bytes: liveness(signature, steps, rules).bytes,
    middle: MIDDLE.map(isOf).map(own => workOf(schedule.filter((_, i) => own.has(places[i] as Place)))),
    ...workOf(schedule),
    feedBytes: feeds.reduce((sum, { attrs }) => sum + byteSize(attrs.spec), 0),
  };
}

/** @returns undefined where the middle blocks of either pass are not alike */
function deepen({ training, evaluation }: Measured, more: number): TracedPasses | undefined {
  const [trained, evaluated] = [deepenPass(training, more), deepenPass(evaluation, more)];
  return trained && evaluated && { training: trained, evaluation: evaluated };
}

/** What the pass takes with so many more middle blocks. */
function deepenPass({ places, bytes, middle, flops, nodes, feedBytes }: MeasuredPass, more: number): TracedPasses['training'] | undefined {
  const growth = more === 0 ? new Map<Place, number>() : growthOf(places, bytes);
  const [one, other] = middle as [Work, Work];
  if (!growth || one.flops !== other.flops || one.nodes !== other.nodes) return undefined;
  let [added, activationBytes] = [0, 0];
  places.forEach((place, i) => {
    added += more * (growth.get(place) ?? 0);
    growth.delete(place);
    activationBytes = Math.max(activationBytes, (bytes[i] as number) + added);
  });
  return { activationBytes, flops: flops + more * one.flops, nodes: nodes + more * one.nodes, feedBytes };
}

/** By how much more is alive in the second middle block of each phase than in the first; undefined where that is not the same throughout. */
function growthOf(places: readonly Place[], bytes: Float64Array): Map<Place, number> | undefined {
  const at = new Map<Place, number[]>();
  places.forEach((place, i) => {
    const known = at.get(place);
    if (known) known.push(bytes[i] as number);
    else at.set(place, [bytes[i] as number]);
  });
  const growth = new Map<Place, number>();
  for (const phase of PHASES) {
    const [first, second] = (phase === 0 ? MIDDLE : [...MIDDLE].reverse()).map(block => placeName(phase, block)) as [Place, Place];
    const [before, after] = [at.get(first) ?? [], at.get(second) ?? []];
    const grows = (after[0] ?? 0) - (before[0] ?? 0);
    if (before.length !== after.length || before.some((value, i) => (after[i] as number) - value !== grows)) return undefined;
    growth.set(second, grows);
  }
  return growth;
}
/** The same model with few blocks, where it has many and each is as the next: in its sizes, its settings and what is trained of it. */
function shallowModel({ config, model, attachment, attach }: PassTracerParams): Depth | undefined {
  const { blocks } = model;
  if (config.num_hidden_layers !== blocks || blocks <= 2 * DEPTH) return undefined;
  // A list with an entry a block, or a number of the first block that differs, would mean another thing in a small model.
  if (Object.values(config).some(value => Array.isArray(value) && value.length === blocks) || config.use_sliding_window === true)
    return undefined;
  if (!blocksAreAlike(model, attachment)) return undefined;
  const small = loadModel({ ...config, num_hidden_layers: DEPTH });
  return { model: small, attachment: attach(small), evaluations: new Map() };
}

function blocksAreAlike(model: AnyModel, { trainables }: Attachment): boolean {
  const trained = new Map(trainables.map(({ variable, name, shape }) => [variable.name, `${name.replace(/\d+/, '')} ${shape}`]));
  const inBlock = new Map<number, string[]>();
  for (const { name, layer, weight, bias } of model.modules) {
    if (layer < 0) continue;
    const parts = [weight, ...(bias ? [bias] : [])].map(({ shape, name: of }) => `${shape} ${trained.get(of) ?? ''}`);
    inBlock.set(layer, [...(inBlock.get(layer) ?? []), `${name.replace(/\d+/, '')} ${parts.join(' ')}`]);
  }
  const described = new Set([...inBlock.values()].map(parts => parts.join('\n')));
  const beside = new Map<string, number>();
  for (const { name, shape } of trainables) {
    const layer = /\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined)
      beside.set(`${name.replace(/\d+/, '')} ${shape}`, (beside.get(`${name.replace(/\d+/, '')} ${shape}`) ?? 0) + 1);
  }
  return described.size === 1 && [...beside.values()].every(count => count === model.blocks);
}
