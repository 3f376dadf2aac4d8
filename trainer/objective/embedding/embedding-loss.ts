/** Losses of vectors that are compared with each other; formulas and names are those of sentence-transformers. */
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';
import { unitVectors } from '../../model/embedder.ts';
import { classificationLoss } from '../../model/layer/classification-loss.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';

type Settings = Recipe['embedding'];

/** The inputs of a loss in addition to the vectors. */
export interface Comparison {
  /** [samples]: 1 over the samples of the update, 0 for a sample that is not there. */
  readonly weights: Node;
  /** [samples], from −1 to 1. */
  readonly scores: Node;
}

/** [samples], from the vectors [samples, width] of each side, the anchor first. */
type SampleLosses = (graph: Graph, sides: readonly Node[], comparison: Comparison, settings: Settings) => Node;

const losses: Readonly<Record<Settings['loss_type'], SampleLosses>> = {
  multiple_negatives: (graph, sides, { weights }, { scale }) => rankingLosses(graph, sides, { weights, scale }),
  symmetric: (graph, sides, { weights }, { scale }) => {
    const [anchors, positives] = twoOf(sides);
    const forward = rankingLosses(graph, sides, { weights, scale });
    const backward = rankingLosses(graph, [positives, anchors], { weights, scale });
    return graph.mul(graph.add(forward, backward), 0.5);
  },
  cosine: (graph, sides, { scores }) => graph.square(graph.sub(cosines(graph, ...twoOf(sides)), scores)),
  triplet: (graph, sides, _, { distance, margin }) => {
    const [anchors, positives] = twoOf(sides);
    const distanceTo = (others: Node): Node => distances[distance](graph, anchors, others);
    const ahead = graph.sub(distanceTo(positives), distanceTo(sides[2] ?? positives));
    return graph.relu(graph.add(ahead, margin));
  },
};

/**
 * The loss of a batch: Σ weight · loss of a sample, and the losses [samples].
 * @param vectors [samples · texts, width], the texts of a sample in neighboring rows
 */
export function embeddingLoss(
  graph: Graph,
  { vectors, ...comparison }: Comparison & { readonly vectors: Node },
  settings: Settings,
): { readonly loss: Node; readonly losses: Node } {
  const [rows, width] = dimensions(vectors.shape, 2);
  const count = textsOf(groupForm(settings));
  const samples = rows / count;
  const bySample = graph.reshape(vectors, [samples, count, width]);
  const sides = Array.from({ length: count }, (_, side) => graph.reshape(graph.sliceAxis(bySample, 1, side, 1), [samples, width]));
  // MatryoshkaLoss brings shortened vectors to length 1 again.
  const shortened = settings.matryoshka_dims.map(dim => sides.map(side => unitVectors(graph, graph.sliceAxis(side, 1, 0, dim))));
  const all = (shortened.length > 0 ? shortened : [sides]).map(each => losses[settings.loss_type](graph, each, comparison, settings));
  const total = all.reduce((sum, each) => graph.add(sum, each));
  return { loss: graph.sumAll(graph.mul(total, comparison.weights)), losses: total };
}

function twoOf([first, second]: readonly Node[]): readonly [Node, Node] {
  if (!first || !second) throw new Error('a comparison needs two texts');
  return [first, second];
}

/** Taken from the cosines with texts that are not there, which no anchor chooses then. */
const ABSENT = -1e9;

/**
 * −log softmax of the cosine of each anchor with its positive, among the cosines with all positives and hard negatives of the batch times
 * `scale` (Henderson et al. 2017).
 * @param sides the anchors, their positives and hard negatives, [samples, width] each @returns [samples]
 */
function rankingLosses(graph: Graph, sides: readonly Node[], { weights, scale }: { readonly weights: Node; readonly scale: number }): Node {
  const [anchors, ...others] = sides.map(side => unitVectors(graph, side));
  if (!anchors) throw new Error('a comparison needs anchors');
  const samples = weights.shape[0] as number;
  const absent = graph.mul(graph.cast(graph.equal(weights, graph.scalar(0)), 'float32'), ABSENT);
  const columns = others.map(other =>
    graph.add(graph.mul(graph.matmul(anchors, other, { transposeB: true }), scale), graph.reshape(absent, [1, samples])),
  );
  const labels = graph.constant(
    Int32Array.from({ length: samples }, (_, sample) => sample),
    [samples],
    'int32',
  );
  return classificationLoss(graph, { problem: 'single_label', logits: graph.concat(columns, 1), labels, weights }).losses;
}

/** [samples, width] twice → [samples]. */
const cosines = (graph: Graph, a: Node, b: Node): Node => graph.sum(graph.mul(unitVectors(graph, a), unitVectors(graph, b)), [-1]);

/** PyTorch's `pairwise_distance` adds it to each difference. */
const DIFFERENCE = 1e-6;

const distances: Readonly<Record<Settings['distance'], (graph: Graph, a: Node, b: Node) => Node>> = {
  euclidean: (graph, a, b) => graph.sqrt(graph.sum(graph.square(graph.add(graph.sub(a, b), DIFFERENCE)), [-1])),
  cosine: (graph, a, b) => graph.sub(graph.scalar(1), cosines(graph, a, b)),
};
