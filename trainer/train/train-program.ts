/** The programs of training: what is compiled once and run for every batch. */

import { backward } from '../graph/gradient.ts';
import type { Graph, Node } from '../graph/graph.ts';
import { Graph as TensorGraph } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import type { Attachment, Trainable } from '../method/method.ts';
import { HIDDEN } from '../model/layer/attention.ts';
import { headLoss, headLossWithGradient } from '../model/layer/cross-entropy.ts';
import type { CausalModel, TokenInputs } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import { declareFeeds, type OptimizerSettings, update } from './optimizer.ts';
import { snapshotTraces } from './snapshot.ts';
import { gradientVariable, joinMembers, type UpdateGroup, updateGroups } from './update-group.ts';

/** The static shape of one kind of batch. */
export interface BatchShape {
  readonly batch: number;
  readonly tokens: number;
  /** Room for positions that count in the loss. */
  readonly targets: number;
}

export interface TrainProgramParams {
  readonly model: CausalModel;
  readonly attachment: Attachment;
  readonly optimizer: OptimizerSettings;
  /** Largest global gradient norm; 0: no clipping, and each update is applied as soon as its gradient exists. */
  readonly maxGradNorm: number;
  /** Above 1, gradients are summed over this many batches and applied by a signature of their own. */
  readonly accumulationSteps: number;
  readonly recompute: RecomputePolicy;
  /** Several samples share a row; attention keeps them apart. */
  readonly packed: boolean;
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
  /** Evaluation also gives the logits of these tokens at one position a row: which of a few answers the model would begin. */
  readonly labelTokens?: readonly number[];
}

export const shapeName = ({ batch, tokens, targets }: BatchShape): string => `${batch}x${tokens}x${targets}`;
export const trainSignature = (shape: BatchShape): string => `train/${shapeName(shape)}`;
export const evalSignature = (shape: BatchShape): string => `eval/${shapeName(shape)}`;
/** Applies accumulated gradients. */
export const APPLY = 'apply';

/** Signatures for every shape of batch, and for reading and restoring what is trained. */
export function trainProgram(params: TrainProgramParams): Program {
  const traces: Record<string, Traced> = {};
  for (const shape of params.trainShapes) traces[trainSignature(shape)] = traceTrain(params, shape);
  for (const shape of params.evalShapes) traces[evalSignature(shape)] = traceEval(params, shape);
  if (params.accumulationSteps > 1) traces[APPLY] = traceApply(params);
  return assemble({ ...traces, ...snapshotTraces(params.attachment, params.optimizer) });
}

export interface LossFeeds {
  readonly inputs: TokenInputs;
  readonly targetPositions: Node;
  readonly targetIds: Node;
  readonly targetWeights: Node;
}

/** Declares the feeds of a batch of tokens with its targets. */
export function declareBatch(graph: Graph, { batch, tokens, targets }: BatchShape, packed: boolean): LossFeeds {
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const common = {
    targetPositions: graph.feed('targetPositions', [targets], 'int32'),
    targetIds: graph.feed('targetIds', [targets], 'int32'),
    targetWeights: graph.feed('targetWeights', [targets]),
  };
  // Right padding needs no mask: a causal query never sees what comes after it.
  if (!packed) return { ...common, inputs: { ids, mask: { kind: 'causal' } } };
  const segments = graph.feed('segments', [batch, tokens], 'int32');
  const same = graph.equal(graph.reshape(segments, [batch, tokens, 1]), graph.reshape(segments, [batch, 1, tokens]));
  const bias = graph.select(same, graph.scalar(0), graph.scalar(HIDDEN));
  return {
    ...common,
    inputs: { ids, mask: { kind: 'bias', bias, causal: true }, positions: graph.feed('positions', [batch, tokens], 'int32') },
  };
}

function traceTrain(params: TrainProgramParams, shape: BatchShape): Traced {
  const { model, attachment } = params;
  const graph = new TensorGraph();
  const feeds = declareBatch(graph, shape, params.packed);
  const tracer = new Tracer({ graph, linearHook: attachment.linearHook, seed: graph.feed('seed', [2], 'int32') });
  const hidden = model.hidden(tracer, feeds.inputs);
  const targets = new Map(attachment.trainables.map(trainable => [graph.read(trainable.variable), trainable]));
  const head = graph.read({ ...model.head.weight, dtype: 'float32' });
  const trainedHead = targets.get(head);
  const rowsOf = (trainable: Trainable) => trainable.rows && graph.read(trainable.rows.variable);
  const headRows = trainedHead && rowsOf(trainedHead);
  const { loss, seeds } = headLossWithGradient(
    graph,
    { hidden, weight: head, ...feeds },
    { weight: trainedHead ? (headRows ? { rows: headRows } : 'all') : 'none' },
  );
  const apply = new GradientSink(graph, params);
  backward(graph, {
    seeds,
    wrt: new Map([...targets].map(([node, trainable]) => [node, { rows: rowsOf(trainable) }])),
    policy: params.recompute,
    onReady: (node, gradient) => apply.take(targets.get(node) as Trainable, gradient),
  });
  const { effects, outputs } = apply.finish();
  return { graph, outputs: { loss, ...outputs }, effects };
}

/** Does with each gradient, as it comes, what the settings ask for: update at once, hold back for clipping, or add up. */
class GradientSink {
  private readonly graph: Graph;
  private readonly params: TrainProgramParams;
  private readonly feeds: ReturnType<typeof declareFeeds> | undefined;
  private readonly groupOf = new Map<Trainable, UpdateGroup>();
  /** Gradients of groups that are not complete yet. */
  private readonly arrived = new Map<Trainable, Node>();
  private readonly held: { group: UpdateGroup; gradient: Node }[] = [];
  private readonly effects: Node[] = [];
  private squares: Node | undefined;

  constructor(graph: Graph, params: TrainProgramParams) {
    this.graph = graph;
    this.params = params;
    this.feeds = params.accumulationSteps > 1 ? undefined : declareFeeds(graph);
    for (const group of updateGroups(params.attachment.trainables)) for (const member of group.members) this.groupOf.set(member, group);
  }

  take(trainable: Trainable, gradient: Node): void {
    this.arrived.set(trainable, gradient);
    const group = this.groupOf.get(trainable) as UpdateGroup;
    const parts = group.members.map(member => this.arrived.get(member));
    if (parts.every(part => part !== undefined)) this.takeGroup(group, joinMembers(this.graph, parts));
  }

  private takeGroup(group: UpdateGroup, gradient: Node): void {
    const { graph, params } = this;
    if (!this.feeds) {
      graph.declare(gradientVariable(group));
      this.effects.push(graph.assignAdd(gradientVariable(group).name, gradient));
      return;
    }
    const square = graph.sumAll(graph.square(gradient));
    this.squares = this.squares ? graph.add(this.squares, square) : square;
    if (params.maxGradNorm > 0) this.held.push({ group, gradient });
    else this.effects.push(...update(graph, { settings: params.optimizer, group, gradient, feeds: this.feeds }));
  }

  finish(): { effects: Node[]; outputs: Record<string, Node> } {
    const { graph, params, feeds, squares } = this;
    if (!feeds || !squares) return { effects: this.effects, outputs: {} };
    const norm = graph.sqrt(squares);
    if (this.held.length > 0) {
      const scale = clipScale(graph, norm, params.maxGradNorm);
      for (const { group, gradient } of this.held)
        this.effects.push(...update(graph, { settings: params.optimizer, group, gradient: graph.mul(gradient, scale), feeds }));
    }
    return { effects: this.effects, outputs: { gradNorm: norm } };
  }
}

/** PyTorch's clip_grad_norm_: min(1, most / (norm + 1e-6)). */
const clipScale = (graph: Graph, norm: Node, most: number): Node => graph.minimum(graph.div(graph.scalar(most), graph.add(norm, 1e-6)), 1);

function traceApply({ attachment, optimizer, maxGradNorm }: TrainProgramParams): Traced {
  const graph = new TensorGraph();
  const feeds = declareFeeds(graph);
  const gradients = updateGroups(attachment.trainables).map(group => ({ group, gradient: graph.read(gradientVariable(group)) }));
  const norm = graph.sqrt(gradients.map(({ gradient }) => graph.sumAll(graph.square(gradient))).reduce((a, b) => graph.add(a, b)));
  const scale = maxGradNorm > 0 ? clipScale(graph, norm, maxGradNorm) : undefined;
  const effects = gradients.flatMap(({ group, gradient }) => {
    const scaled = scale ? graph.mul(gradient, scale) : gradient;
    const moved = update(graph, { settings: optimizer, group, gradient: scaled, feeds });
    return [...moved, graph.assign(gradientVariable(group).name, graph.zeros(group.shape))];
  });
  return { graph, outputs: { gradNorm: norm }, effects };
}

/** Feeds `labelPositions` int32 [batch] (flat, as target positions) and gives `labelScores` [batch, labels] where there are label tokens. */
function traceEval({ model, attachment, packed, labelTokens }: TrainProgramParams, shape: BatchShape): Traced {
  const graph = new TensorGraph();
  const feeds = declareBatch(graph, shape, packed);
  const tracer = new Tracer({ graph, linearHook: attachment.linearHook });
  const hidden = model.hidden(tracer, feeds.inputs);
  const weight = graph.read({ ...model.head.weight, dtype: 'float32' });
  const { loss, nll, hits } = headLoss(graph, { hidden, weight, ...feeds });
  if (!labelTokens) return { graph, outputs: { loss, nll, hits }, effects: [] };
  const asked = graph.gather(hidden, graph.feed('labelPositions', [shape.batch], 'int32'));
  const answers = graph.gather(weight, graph.constant(Int32Array.from(labelTokens), [labelTokens.length], 'int32'));
  return { graph, outputs: { loss, nll, hits, labelScores: graph.matmul(asked, answers, { transposeB: true }) }, effects: [] };
}
