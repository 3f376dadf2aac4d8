/** Losses that compare vectors with each other; formulas and names are those of sentence-transformers. */
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';
import { unitVectors } from '../../model/embedder.ts';
import { classificationLoss } from '../../model/layer/loss/classification-loss.ts';
import { elementAt } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { hasNegativesOfBatch } from '../../protocol/recipe/rules/embedding-rules.ts';

type Settings = Recipe['embedding'];

/** The inputs of a loss in addition to the vectors. */
export interface Comparison {
  /** [samples]: 1 / the samples of the update, across all processes; 0 for an absent sample. */
  readonly weights: Node;
  /** [samples], from −1 to 1. */
  readonly scores: Node;
}

/**
 * Vectors [samples, width] by their role, the anchor first: those of this process, and those of all processes that train the batch
 * together.
 */
interface Sides {
  readonly own: readonly Node[];
  readonly all: readonly Node[];
}

/** Returns the loss of each sample of this process, [samples]. */
type SampleLosses = (graph: Graph, sides: Sides, comparison: Comparison, settings: Settings) => Node;

const losses: Readonly<Record<Settings['loss_type'], SampleLosses>> = {
  multiple_negatives: (graph, { own, all }, { weights }, { scale }) =>
    rankingLosses(graph, { from: anchorOf(own), among: all.slice(1) }, { weights, scale }),
  symmetric: (graph, { own, all }, { weights }, { scale }) => {
    const forward = rankingLosses(graph, { from: anchorOf(own), among: all.slice(1) }, { weights, scale });
    const backward = rankingLosses(graph, { from: positiveOf(own), among: [anchorOf(all)] }, { weights, scale });
    return graph.mul(graph.add(forward, backward), 0.5);
  },
  cosine: (graph, { own }, { scores }) => graph.square(graph.sub(cosines(graph, anchorOf(own), positiveOf(own)), scores)),
  triplet: (graph, { own }, _, { distance, margin }) => {
    const distanceTo = (others: Node): Node => distances[distance](graph, anchorOf(own), others);
    const ahead = graph.sub(distanceTo(positiveOf(own)), distanceTo(elementAt(own, 2)));
    return graph.relu(graph.add(ahead, margin));
  },
};

/**
 * The loss of a batch, or of this process's part of it: Σ weight · loss of a sample, and the losses [samples].
 * @param vectors [samples · texts, width], with the texts of a sample in neighboring rows
 */
export function embeddingLoss(
  graph: Graph,
  { vectors, ...comparison }: Comparison & { readonly vectors: Node },
  settings: Settings,
): { readonly loss: Node; readonly losses: Node } {
  const count = textsOf(groupForm(settings));
  const sidesOf = (rows: Node): Node[] => {
    const [texts, width] = dimensions(rows.shape, 2);
    const samples = texts / count;
    const bySample = graph.reshape(rows, [samples, count, width]);
    return Array.from({ length: count }, (_, side) => graph.reshape(graph.sliceAxis(bySample, 1, side, 1), [samples, width]));
  };
  const own = sidesOf(vectors);
  const all = hasNegativesOfBatch(settings) ? sidesOf(graph.rowsOfAll(vectors)) : own;
  // MatryoshkaLoss normalizes shortened vectors again.
  const shorten = (sides: readonly Node[], dim: number): Node[] => sides.map(side => unitVectors(graph, graph.sliceAxis(side, 1, 0, dim)));
  const shortened = settings.matryoshka_dims.map(dim => ({ own: shorten(own, dim), all: shorten(all, dim) }));
  const terms = (shortened.length > 0 ? shortened : [{ own, all }]).map(sides =>
    losses[settings.loss_type](graph, sides, comparison, settings),
  );
  const total = terms.reduce((sum, each) => graph.add(sum, each));
  return { loss: graph.sumAll(graph.mul(total, comparison.weights)), losses: total };
}

const anchorOf = (sides: readonly Node[]): Node => elementAt(sides, 0);
const positiveOf = (sides: readonly Node[]): Node => elementAt(sides, 1);

/** Added to the cosines with absent texts, so that no anchor chooses them. */
const ABSENT = -1e9;

/** Vectors [samples, width] of this process, and their candidates. The positive of each sample is in the first list. */
interface Search {
  readonly from: Node;
  /** Lists of candidates, each [samples of all processes, width]. */
  readonly among: readonly Node[];
}

/**
 * −log softmax of the cosine of each anchor with its positive, among the cosines with all positives and hard negatives of the batch, times
 * `scale` (Henderson et al. 2017). @returns [samples] of this process
 */
function rankingLosses(
  graph: Graph,
  { from, among }: Search,
  { weights, scale }: { readonly weights: Node; readonly scale: number },
): Node {
  const anchors = unitVectors(graph, from);
  const samples = elementAt(from.shape, 0);
  const present = graph.rowsOfAll(weights);
  const absent = graph.mul(graph.cast(graph.equal(present, graph.scalar(0)), 'float32'), ABSENT);
  const columns = among.map(others => {
    const products = graph.matmul(anchors, unitVectors(graph, others), { transposeB: true });
    return graph.add(graph.mul(products, scale), graph.reshape(absent, [1, ...absent.shape]));
  });
  const labels = graph.ownRowIndices(samples);
  return classificationLoss(graph, { problem: 'single_label', logits: graph.concat(columns, 1), labels, weights }).losses;
}

/** Cosines of two lists of vectors, [samples, width] each → [samples]. */
const cosines = (graph: Graph, a: Node, b: Node): Node => graph.sum(graph.mul(unitVectors(graph, a), unitVectors(graph, b)), [-1]);

/** Epsilon that PyTorch's `pairwise_distance` adds to each difference. */
const DIFFERENCE = 1e-6;

const distances: Readonly<Record<Settings['distance'], (graph: Graph, a: Node, b: Node) => Node>> = {
  euclidean: (graph, a, b) => graph.sqrt(graph.sum(graph.square(graph.add(graph.sub(a, b), DIFFERENCE)), [-1])),
  cosine: (graph, a, b) => graph.sub(graph.scalar(1), cosines(graph, a, b)),
};
