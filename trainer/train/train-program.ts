/** The programs of training: what is compiled once and run for every batch. */

import { backward } from '../graph/gradient.ts';
import type { Graph, Node, Parts } from '../graph/graph.ts';
import { Graph as TensorGraph } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import type { Attachment, Trainable } from '../method/method.ts';
import type { ParameterSpec } from '../model/module-specs.ts';
import { Tracer } from '../model/tracer.ts';
import { valueFor } from '../narrow.ts';
import { declareFeeds, update } from './optimizer.ts';
import { offloadPlaces } from './optimizer-offload.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';
import { snapshotTraces, wholeParts } from './snapshot.ts';
import { type BatchShape, type GradientRequest, shapeName, type Task } from './task.ts';
import { gradientRequest, trainedGradient } from './trained-part.ts';
import { gradientVariable, joinMembers, type UpdateGroup, updateGroups } from './update-group.ts';

export interface TrainProgramParams {
  readonly task: Task;
  readonly attachment: Attachment;
  readonly optimizer: OptimizerSettings;
  /** Share of each target that the training loss spreads evenly over all classes or tokens. */
  readonly labelSmoothing?: number;
  /** Largest global gradient norm; 0: no clipping, and each update is applied as soon as its gradient exists. */
  readonly maxGradNorm: number;
  /** Above 1, gradients are summed over this many batches and applied by a signature of their own. */
  readonly accumulationSteps: number;
  /** Left out: one process computes the whole batch. */
  readonly parts?: Parts | undefined;
  readonly recompute: RecomputePolicy;
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
}

/** Parameters of one signature; see `BackwardParams` for `groupBlocks`. */
export type TraceParams = Omit<TrainProgramParams, 'trainShapes' | 'evalShapes'> & { readonly groupBlocks?: number };

type SharedParams = Pick<TrainProgramParams, 'attachment' | 'optimizer' | 'maxGradNorm' | 'accumulationSteps' | 'parts'>;

export const trainSignature = (shape: BatchShape): string => `train/${shapeName(shape)}`;
export const evalSignature = (shape: BatchShape): string => `eval/${shapeName(shape)}`;
/** Applies accumulated gradients. */
export const APPLY = 'apply';

/** Signatures for every shape of batch, and for reading and restoring what is trained. */
export function trainProgram(params: TrainProgramParams): Program {
  const traces: Record<string, Traced> = {};
  for (const shape of params.trainShapes) traces[trainSignature(shape)] = traceTrain(params, shape);
  for (const shape of params.evalShapes) traces[evalSignature(shape)] = traceEval(params, shape);
  const program = assemble({ ...traces, ...sharedTraces(params) }, wholeParts(params.attachment, params.optimizer));
  return { ...program, places: offloadPlaces(params.attachment, params.optimizer) };
}

/** Signatures for evaluating a model in which nothing is trained, by itself or with an adapter. */
export const evaluationProgram = (of: Pick<TrainProgramParams, 'task' | 'attachment'>, shapes: readonly BatchShape[]): Program =>
  assemble(
    Object.fromEntries(
      [...new Map(shapes.map(shape => [evalSignature(shape), shape]))].map(([name, shape]) => [name, traceEval(of, shape)]),
    ),
  );

/** The signatures that there are once, whatever the shapes of batches. */
export function sharedTraces(params: SharedParams): Record<string, Traced> {
  const snapshot = snapshotTraces(params.attachment, params.optimizer);
  return params.accumulationSteps > 1 ? { [APPLY]: traceApply(params), ...snapshot } : snapshot;
}

/** One update, or one batch's share of it. */
export function traceTrain(params: TraceParams, shape: BatchShape): Traced {
  const { task, attachment } = params;
  const graph = new TensorGraph(params.parts);
  const tracer = new Tracer({
    graph,
    linearHook: attachment.linearHook,
    seed: graph.feed('seed', [2], 'int32'),
    batchNorm: attachment.buffers ? 'updated' : 'frozen',
    storage: attachment.storage,
  });
  const targets = new Map<Node, Trainable>();
  const rowsOf = (trainable: Trainable) => trainable.rows && graph.read(trainable.rows.variable);
  const requestFor = (parameter: ParameterSpec): GradientRequest => {
    const trained = attachment.trainables.find(({ variable }) => variable.name === parameter.name);
    const rows = trained && rowsOf(trained);
    return trained ? (rows ? { rows } : 'all') : 'none';
  };
  const { loss, seeds, outputs: measured } = task.loss(tracer, shape, requestFor, params.labelSmoothing);
  for (const trainable of attachment.trainables) targets.set(graph.read(trainable.variable), trainable);
  const apply = new GradientSink(graph, params);
  backward(graph, {
    seeds,
    wrt: new Map([...targets].map(([node, trainable]) => [node, gradientRequest(graph, trainable)])),
    policy: params.recompute,
    groupBlocks: params.groupBlocks,
    onReady: (node, gradient) => {
      const trainable = valueFor(targets, node);
      apply.take(trainable, trainedGradient(graph, trainable, gradient), node.block);
    },
  });
  const { effects, outputs } = apply.finish();
  const followed = [...tracer.updates].map(([buffer, value]) => graph.assign(buffer.name, value));
  return { graph, outputs: { loss, ...measured, ...outputs }, effects: [...effects, ...followed] };
}

interface Arrived {
  readonly group: UpdateGroup;
  readonly gradient: Node;
  readonly block: number;
}

/**
 * Does with each gradient, as it comes, what the settings ask for: update at once, hold back for clipping, or add up. With several processes a
 * gradient leaves as soon as it is there, and its update waits for the next gradient, so that the sum travels while that one is computed.
 */
class GradientSink {
  private readonly graph: Graph;
  private readonly params: TraceParams;
  private readonly feeds: ReturnType<typeof declareFeeds> | undefined;
  private readonly groupOf = new Map<Trainable, UpdateGroup>();
  /** Gradients of groups that are not complete yet. */
  private readonly arrived = new Map<Trainable, Node>();
  private readonly held: Arrived[] = [];
  private leaving: Arrived | undefined;
  private readonly effects: Node[] = [];
  private squares: Node | undefined;

  constructor(graph: Graph, params: TraceParams) {
    this.graph = graph;
    this.params = params;
    this.feeds = params.accumulationSteps > 1 ? undefined : declareFeeds(graph);
    for (const group of updateGroups(params.attachment.trainables, params.optimizer))
      for (const member of group.members) this.groupOf.set(member, group);
  }

  /** @param block where the variable is used */
  take(trainable: Trainable, gradient: Node, block: number): void {
    this.arrived.set(trainable, gradient);
    const group = valueFor(this.groupOf, trainable);
    const parts = group.members.map(member => this.arrived.get(member));
    if (parts.every(part => part !== undefined)) this.takeGroup(group, joinMembers(this.graph, group, parts), block);
  }

  private takeGroup(group: UpdateGroup, gradient: Node, block: number): void {
    const { graph, params } = this;
    if (!this.feeds) {
      graph.declare(gradientVariable(group));
      this.effects.push(graph.assignAdd(gradientVariable(group).name, gradient));
      return;
    }
    if (graph.parts.count === 1) {
      this.takeSum({ group, gradient, block });
      return;
    }
    const begun = { group, gradient: graph.beginSum(gradient), block };
    if (params.maxGradNorm > 0) this.held.push(begun);
    else {
      this.endLeaving();
      this.leaving = begun;
    }
  }

  private endLeaving(): void {
    const { graph, leaving } = this;
    if (leaving) graph.within({ block: leaving.block }, () => this.takeSum({ ...leaving, gradient: graph.endSum(leaving.gradient) }));
    this.leaving = undefined;
  }

  /** @param sum its gradient is that of the whole batch */
  private takeSum(sum: Arrived): void {
    const { graph, params } = this;
    this.addSquare(sum.gradient);
    if (params.maxGradNorm > 0) this.held.push(sum);
    else if (this.feeds) this.effects.push(...update(graph, { settings: params.optimizer, ...sum, feeds: this.feeds }));
  }

  private addSquare(gradient: Node): void {
    const square = squaredNorm(this.graph, gradient);
    this.squares = this.squares ? this.graph.add(this.squares, square) : square;
  }

  /** The gradients that are held back, of the whole batch. */
  private endHeld(): Arrived[] {
    const { graph, held } = this;
    if (graph.parts.count === 1) return held;
    return held.map(({ gradient, ...rest }) => {
      const sum = graph.within({ phase: 2, block: rest.block }, () => graph.endSum(gradient));
      graph.within({ phase: 2 }, () => this.addSquare(sum));
      return { ...rest, gradient: sum };
    });
  }

  finish(): { effects: Node[]; outputs: Record<string, Node> } {
    const { graph, params, feeds } = this;
    this.endLeaving();
    const held = this.endHeld();
    const { squares } = this;
    if (!feeds || !squares) return { effects: this.effects, outputs: {} };
    const norm = graph.sqrt(squares);
    if (held.length > 0) {
      const scale = clipScale(graph, norm, params.maxGradNorm);
      for (const { group, gradient, block } of held)
        graph.within({ phase: 2, block }, () =>
          this.effects.push(...update(graph, { settings: params.optimizer, group, gradient: graph.mul(gradient, scale), feeds })),
        );
    }
    return { effects: this.effects, outputs: { gradNorm: norm } };
  }
}

/** Along the last axis first: a fused step then squares and sums in one pass, and no second tensor of the gradient's size is there. */
const squaredNorm = (graph: Graph, gradient: Node): Node => graph.sumAll(graph.sum(graph.square(gradient), [-1]));

/** PyTorch's clip_grad_norm_: min(1, most / (norm + 1e-6)). */
const clipScale = (graph: Graph, norm: Node, most: number): Node => graph.minimum(graph.div(graph.scalar(most), graph.add(norm, 1e-6)), 1);

function traceApply({ attachment, optimizer, maxGradNorm, parts }: SharedParams): Traced {
  const graph = new TensorGraph(parts);
  const feeds = declareFeeds(graph);
  const own = updateGroups(attachment.trainables, optimizer).map(group => ({ group, gradient: graph.read(gradientVariable(group)) }));
  const summed = () =>
    own
      .map(({ group, gradient }) => ({ group, gradient: graph.beginSum(gradient) }))
      .map(({ group, gradient }) => ({ group, gradient: graph.endSum(gradient) }));
  const gradients = graph.parts.count === 1 ? own : summed();
  const norm = graph.sqrt(gradients.map(({ gradient }) => squaredNorm(graph, gradient)).reduce((a, b) => graph.add(a, b)));
  const scale = maxGradNorm > 0 ? clipScale(graph, norm, maxGradNorm) : undefined;
  const effects = gradients.flatMap(({ group, gradient }) => {
    const scaled = scale ? graph.mul(gradient, scale) : gradient;
    const moved = update(graph, { settings: optimizer, group, gradient: scaled, feeds });
    return [...moved, graph.assign(gradientVariable(group).name, graph.zeros(group.shape))];
  });
  return { graph, outputs: { gradNorm: norm }, effects };
}

export function traceEval({ task, attachment }: Pick<TraceParams, 'task' | 'attachment'>, shape: BatchShape): Traced {
  const graph = new TensorGraph();
  const outputs = task.evaluation(new Tracer({ graph, linearHook: attachment.linearHook, storage: attachment.storage }), shape);
  return { graph, outputs, effects: [] };
}
