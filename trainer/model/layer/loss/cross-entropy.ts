/** The language-model head and its loss, in chunks of positions, so that the logits of the whole batch are never in memory at once. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { rowSum } from '../../../graph/ops/indexing.ts';
import { product } from '../../product.ts';
import { softCap } from '../soft-cap.ts';
import type { HeadNodes, HeadRequests, RowRequest } from './head-logits.ts';

/** The head has a row for each token of the vocabulary. */
export interface HeadLossParams extends HeadNodes {
  /** Final hidden states, [rows, features]. */
  readonly hidden: Node;
  /** Soft cap of the logits: see `softCap`. */
  readonly cap?: number | undefined;
  /** int32 [targets]: the row of `hidden` whose output predicts each target. */
  readonly targetPositions: Node;
  /** int32 [targets]: the token that each target predicts. */
  readonly targetIds: Node;
  /** float32 [targets]; padding has weight 0. The loss is Σ weight · NLL. */
  readonly targetWeights: Node;
  /** A second loss of the same logits, mixed with the NLL. */
  readonly soft?: SoftTargets | undefined;
  /** See `Tracer.fillingRows`. */
  readonly fillingRows?: number | undefined;
}

/** A loss of the logits that is not the NLL of one token, such as the divergence from another model's distribution. */
export interface SoftTargets {
  /** The factors of the two losses of a target. */
  readonly shares: { readonly nll: number; readonly soft: number };
  readonly judge: (graph: Graph, chunk: ChunkLogits) => SoftLoss;
}

/** The logits of one chunk of targets. */
export interface ChunkLogits {
  /** [size, vocabulary]. */
  readonly logits: Node;
  /** Softmax of the logits, [size, vocabulary]. */
  readonly p: Node;
  /** log Σ exp(logits), [size]. */
  readonly logSum: Node;
  /** Index of the chunk's first target among all targets. */
  readonly begin: number;
  readonly size: number;
}

export interface SoftLoss {
  /** The loss of each target, [size]. */
  readonly losses: Node;
  /** Gradient of the losses for the logits, [size, vocabulary]. */
  readonly slopes: () => Node;
}

export interface HeadLoss {
  /** Σ weight · NLL, or Σ weight · the mixture of both losses; a scalar. */
  readonly loss: Node;
  /** The second loss of each target, [targets]. */
  readonly soft?: Node;
  /** NLL of each target in nats, [targets]. */
  readonly nll: Node;
  /** 1 if the target is the most likely token, else 0; [targets]. */
  readonly hits: Node;
}

/** A chunk's logits may always take this many bytes, or this share of the head's weight, because they hardly matter next to it. */
const SMALL_BYTES = 26 * 2 ** 20;
const SMALL_SHARE = 1 / 32;
/** To reach the rows that fill a product, a chunk's logits may take this share of the head's weight. */
const MAX_SHARE = 1 / 8;
/**
 * A product with fewer rows is limited by reading the weight on a processor: per row, 32 rows take 1.5 times as long as 128, and more than
 * 128 as long. There, a chunk also has at most this share of all targets, unless it is small by the limits above.
 */
const FILLING_TARGETS = 128;
const MAX_SHARE_OF_LOGITS = 1 / 10;

/**
 * Number of targets whose logits are in memory at once.
 * @param shape of the weight
 * @param all targets of the batch
 * @param fillingRows of a card; undefined on a processor
 */
export function targetChunk([vocabulary = 1, features = 1]: readonly number[], all: number, fillingRows?: number): number {
  const [small, share] = [SMALL_BYTES / 4 / vocabulary, SMALL_SHARE * features];
  const filling = Math.min(fillingRows ?? Math.min(FILLING_TARGETS, MAX_SHARE_OF_LOGITS * all), MAX_SHARE * features);
  return Math.max(16, ...[small, share, filling].map(targets => Math.floor(targets / 16) * 16));
}

/**
 * The loss without a gradient. With p the softmax of the logits z: log Σ exp z = max z − log max p, which neither overflows nor underflows.
 * The target's own logit is a dot product with one row of the weight.
 */
export function headLoss(graph: Graph, params: HeadLossParams): HeadLoss {
  return join(
    graph,
    params,
    splitTargets(graph, params).map(chunk => chunkLoss(graph, chunk, params)),
  );
}

/**
 * Computes the loss and its gradient in one sweep: both use each chunk's logits while these are in memory.
 * dhidden = w·(p·W − W[target]); dW = pᵀ·(w·h) − scatter(w·h at the targets); the bias's is dW of features that are all 1.
 * With a soft cap, each logit's gradient is also multiplied by the slope of the cap at that logit.
 * With a share ε of each target spread over the vocabulary V, p becomes p − ε/V and the target counts 1 − ε.
 * @returns the loss, with the seeds of the backward pass
 */
export function headLossWithGradient(
  graph: Graph,
  params: HeadLossParams,
  wants: HeadRequests & { readonly labelSmoothing?: number },
): HeadLoss & { readonly seeds: HeadSeeds } {
  const { gradHidden, gradWeight, gradBias, ...found } = sweep(graph, params, wants);
  return { ...found, seeds: seedsOf(graph, params, graph.concat(gradHidden, 0), { gradWeight, gradBias }) };
}

/** Returns the weight of each target for a loss that depends on all NLLs together: the slope of that loss for each NLL, [targets]. */
export type WeighTargets = (nll: Node) => Node;

/**
 * The gradient of a loss of all NLLs together, such as a preference between two texts.
 * The gradient of the hidden states is scaled by the slopes after a single sweep. The gradient of the weight sums over targets, so it takes
 * a second sweep.
 * @param params the weights of the targets are not read
 * @returns the NLLs, with the seeds of the backward pass
 */
export function headSlopes(
  graph: Graph,
  params: Omit<HeadLossParams, 'targetWeights'>,
  { weigh, ...wants }: HeadRequests & { readonly weigh: WeighTargets },
): Pick<HeadLoss, 'nll' | 'hits'> & { readonly seeds: HeadSeeds } {
  const count = params.targetIds.shape[0] as number;
  if (wants.weight !== 'none' || (wants.bias ?? 'none') !== 'none') {
    const { nll, hits } = headLoss(graph, { ...params, targetWeights: graph.zeros([count]) });
    return { nll, hits, seeds: headLossWithGradient(graph, { ...params, targetWeights: weigh(nll) }, wants).seeds };
  }
  const { nll, hits, gradHidden } = sweep(graph, params, { weight: 'none' });
  const slopes = graph.reshape(weigh(nll), [count, 1]);
  return { nll, hits, seeds: seedsOf(graph, params, graph.mul(graph.concat(gradHidden, 0), slopes), {}) };
}

interface HeadGradients {
  readonly gradWeight?: Node | undefined;
  readonly gradBias?: Node | undefined;
}
type HeadSeeds = { node: Node; gradient: Node }[];

function seedsOf(
  graph: Graph,
  { hidden, weight, bias, targetPositions }: Pick<HeadLossParams, 'hidden' | 'weight' | 'bias' | 'targetPositions'>,
  gradTargets: Node,
  { gradWeight, gradBias }: HeadGradients,
): HeadSeeds {
  // Padding targets point at the first position, with a gradient of 0.
  const gradHidden = graph.segmentSum(gradTargets, targetPositions, hidden.shape[0] as number, { distinct: true });
  const seeds = [{ node: hidden, gradient: gradHidden }];
  if (gradWeight) seeds.push({ node: weight, gradient: graph.cast(gradWeight, weight.dtype) });
  if (bias && gradBias) seeds.push({ node: bias, gradient: graph.reshape(gradBias, [gradBias.shape[0] as number]) });
  return seeds;
}

/** @param params without target weights, each target counts 1 */
function sweep(
  graph: Graph,
  params: TargetParams,
  wants: HeadRequests & { readonly labelSmoothing?: number },
): HeadLoss & HeadGradients & { readonly gradHidden: readonly Node[] } {
  const { weight, bias } = params;
  const vocabulary = weight.shape[0] as number;
  const { labelSmoothing: smoothing = 0 } = wants;
  const shares = params.soft?.shares;
  const gradHidden: Node[] = [];
  const sums: { gradWeight?: Node; gradBias?: Node } = {};
  const chunks = splitTargets(graph, params).map(chunk => {
    const { nll: plain, hits, soft, p: softmax, targetRows, meanNll, slope, targetSlope } = chunkLoss(graph, chunk, params);
    const smooth = smoothing > 0 ? graph.sub(softmax, smoothing / vocabulary) : softmax;
    const mixed = soft && shares ? graph.add(graph.mul(smooth, shares.nll), graph.mul(soft.slopes(), shares.soft)) : smooth;
    const p = slope ? graph.mul(mixed, slope) : mixed;
    const own = (x: Node): Node => graph.mul(targetSlope ? graph.mul(x, targetSlope) : x, (1 - smoothing) * (shares?.nll ?? 1));
    const nll = smoothing > 0 ? graph.add(graph.mul(plain, 1 - smoothing), graph.mul(meanNll(), smoothing)) : plain;
    const w = chunk.weights && graph.reshape(chunk.weights, [chunk.weights.shape[0] as number, 1]);
    const weigh = (x: Node): Node => (w ? graph.mul(x, w) : x);
    gradHidden.push(weigh(graph.sub(product(graph, weight.dtype, p, weight), own(targetRows))));
    const add = (sum: keyof typeof sums, request: RowRequest, features: () => Node): void => {
      if (request === 'none') return;
      const weighted = weigh(features());
      const spread =
        request === 'all'
          ? graph.sub(
              product(graph, weight.dtype, p, weighted, { transposeA: true }),
              graph.segmentSum(own(weighted), chunk.ids, vocabulary),
            )
          : graph.sub(
              product(graph, weight.dtype, graph.gather(p, request.rows, -1), weighted, { transposeA: true }),
              rowSum(graph, own(weighted), chunk.ids, request.rows),
            );
      const known = sums[sum];
      sums[sum] = known ? graph.add(known, spread) : spread;
    };
    add('gradWeight', wants.weight, () => chunk.hidden);
    if (bias) add('gradBias', wants.bias ?? 'none', () => graph.add(graph.zeros([chunk.size, 1]), 1));
    return { nll, hits, soft };
  });
  return { ...join(graph, params, chunks), ...sums, gradHidden };
}

/** Parameters whose target weights may be omitted. */
type TargetParams = Omit<HeadLossParams, 'targetWeights'> & Partial<Pick<HeadLossParams, 'targetWeights'>>;

interface Chunk {
  readonly hidden: Node;
  readonly ids: Node;
  readonly weights: Node | undefined;
  /** Index of the chunk's first target among all targets. */
  readonly begin: number;
  readonly size: number;
}

function splitTargets(graph: Graph, params: TargetParams): Chunk[] {
  const targets = params.targetIds.shape[0] as number;
  const step = targetChunk(params.weight.shape, targets, params.fillingRows);
  const chunks: Chunk[] = [];
  for (let begin = 0; begin < targets; begin += step) {
    const size = Math.min(step, targets - begin);
    chunks.push({
      hidden: graph.gather(params.hidden, graph.sliceAxis(params.targetPositions, 0, begin, size)),
      ids: graph.sliceAxis(params.targetIds, 0, begin, size),
      weights: params.targetWeights && graph.sliceAxis(params.targetWeights, 0, begin, size),
      begin,
      size,
    });
  }
  return chunks;
}

interface ChunkLoss {
  readonly nll: Node;
  readonly hits: Node;
  readonly soft: SoftLoss | undefined;
  readonly p: Node;
  readonly targetRows: Node;
  /** Mean NLL over the vocabulary, for each target. */
  readonly meanNll: () => Node;
  /** Slopes of the soft cap, if there is one: of all logits [targets, vocabulary], and of the targets' own logits [targets, 1]. */
  readonly slope: Node | undefined;
  readonly targetSlope: Node | undefined;
}

function chunkLoss(
  graph: Graph,
  { hidden, ids, begin, size }: Chunk,
  { weight, bias, cap, soft }: Pick<HeadLossParams, 'weight' | 'bias' | 'cap' | 'soft'>,
): ChunkLoss {
  const products = product(graph, weight.dtype, hidden, weight, { transposeB: true });
  const plain = bias ? graph.add(products, bias) : products;
  const capped = cap === undefined ? undefined : softCap(graph, plain, cap);
  const logits = capped?.y ?? plain;
  const top = graph.max(logits, [-1]);
  const p = graph.softmax(logits);
  const logSum = graph.sub(top, graph.log(graph.max(p, [-1])));
  const targetRows = graph.cast(graph.gather(weight, ids), 'float32');
  // Rounded like the logits; otherwise a loss near 0 could become negative.
  const rounded = (x: Node): Node => graph.cast(graph.cast(x, weight.dtype), 'float32');
  const ownProduct = rounded(graph.sum(graph.mul(rounded(hidden), targetRows), [-1]));
  const own = bias ? graph.add(ownProduct, graph.gather(bias, ids)) : ownProduct;
  const ownCapped = cap === undefined ? undefined : softCap(graph, own, cap);
  const nll = graph.sub(logSum, ownCapped?.y ?? own);
  const hits = graph.cast(graph.equal(graph.argmax(p, -1), ids), 'float32');
  const identity = (node: Node): Node => node;
  return {
    ...{ nll, hits, p, targetRows, soft: soft?.judge(graph, { logits, p, logSum, begin, size }), slope: capped?.slope(identity) },
    meanNll: () => graph.sub(logSum, graph.mean(logits, [-1])),
    targetSlope: ownCapped && graph.reshape(ownCapped.slope(identity), [own.shape[0] as number, 1]),
  };
}

interface JoinedChunk {
  readonly nll: Node;
  readonly hits: Node;
  readonly soft: SoftLoss | undefined;
}

function join(graph: Graph, { targetWeights, soft: mixture }: TargetParams, chunks: readonly JoinedChunk[]): HeadLoss {
  const joined = (of: (chunk: JoinedChunk) => Node[]): Node => graph.concat(chunks.flatMap(of), 0);
  const [nll, hits] = [joined(chunk => [chunk.nll]), joined(chunk => [chunk.hits])];
  const weigh = (losses: Node): Node => graph.sumAll(targetWeights ? graph.mul(losses, targetWeights) : losses);
  if (!mixture) return { loss: weigh(nll), nll, hits };
  const soft = joined(chunk => (chunk.soft ? [chunk.soft.losses] : []));
  return { loss: weigh(graph.add(graph.mul(nll, mixture.shares.nll), graph.mul(soft, mixture.shares.soft))), nll, hits, soft };
}
