/** Evaluation of embeddings: retrieval among all held-out texts, correlation with scores, and the order of triplets. */

import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import type { TextGroup } from '../../data/text-groups/load-groups.ts';
import { float32Of, type HostArray } from '../../graph/types.ts';
import type { Evaluation, Evaluator, Tally } from '../../job/evaluate.ts';
import { required, valueFor } from '../../narrow.ts';
import { pearson, spearman } from '../../train/metrics.ts';
import { askedQueries, dot, retrievalMeasures, unit } from './retrieval.ts';

export interface EmbeddingEvaluatorParams {
  readonly source: BatchSource;
  readonly groups: readonly TextGroup[];
  readonly rowsPerSample: number;
  /** True if the samples have scores, which cosines are compared with. */
  readonly isScored: boolean;
}

export const embeddingEvaluator = (params: EmbeddingEvaluatorParams): Evaluator => ({
  source: params.source,
  samples: params.groups.length,
  extraFeeds: () => ({}),
  startTally: () => new VectorTally(params),
});

class VectorTally implements Tally {
  private readonly params: EmbeddingEvaluatorParams;
  /** The unit vectors of the texts of each sample seen so far. */
  private readonly vectors = new Map<number, readonly Float32Array[]>();
  private losses = 0;

  constructor(params: EmbeddingEvaluatorParams) {
    this.params = params;
  }

  add({ sampleIndices }: Batch, outputs: Readonly<Record<string, HostArray>>): void {
    const { rowsPerSample } = this.params;
    const vectors = float32Of(required(outputs.vectors, 'the vectors of the batch'));
    const rows = rowsPerSample * required(outputs.losses, 'the losses of the batch').length;
    const width = vectors.length / rows;
    for (const [place, sample] of sampleIndices.entries()) {
      const rowAt = (side: number): Float32Array => {
        const start = (place * rowsPerSample + side) * width;
        return unit(vectors.slice(start, start + width));
      };
      this.vectors.set(
        sample,
        Array.from({ length: rowsPerSample }, (_, side) => rowAt(side)),
      );
      this.losses += outputs.losses?.[place] ?? Number.NaN;
    }
  }

  result(): Omit<Evaluation, 'seconds'> {
    const { groups, isScored } = this.params;
    const samples = this.vectors.size;
    const met = [...this.vectors].map(([sample, vectors]) => ({ group: required(groups[sample], `sample ${sample}`), vectors }));
    const measures = isScored ? scoreMeasures(met) : { ...rankMeasures(met), ...orderMeasures(met) };
    return { loss: this.losses / samples, samples, targets: samples, measures };
  }
}

interface MetGroup {
  readonly group: TextGroup;
  readonly vectors: readonly Float32Array[];
}

/** A sentence for the log if only some of the anchors are used as queries; undefined if all are. @param width length of a vector */
export function describeAsked(groups: readonly TextGroup[], width: number): string | undefined {
  // An evaluation counts repeated texts once, which can only increase the number of queries.
  const documents = groups.reduce((sum, { texts }) => sum + texts.length - 1, 0);
  const asked = askedQueries(groups.length, documents * width).length;
  return asked === groups.length
    ? undefined
    : `evaluations search for ${asked} of the ${groups.length} held-out anchors, spread evenly, among all held-out texts: all would take too long`;
}

const cosine = ({ vectors }: MetGroup, side: number): number =>
  dot(required(vectors[0], 'the anchor'), required(vectors[side], `text ${side}`));

/** Correlation of cosines with scores; none if all samples have the same score. */
function scoreMeasures(met: readonly MetGroup[]): Record<string, number> {
  const scores = met.map(({ group }) => group.score);
  const found = met.map(each => cosine(each, 1));
  return { pearson: pearson(scores, found), spearman: spearman(scores, found) };
}

/** The share of hard negatives that are further from their anchor than its positive is. */
function orderMeasures(met: readonly MetGroup[]): Record<string, number> {
  const hits = met.flatMap(each => each.vectors.slice(2).map((_, negative) => cosine(each, 1) > cosine(each, 2 + negative)));
  return hits.length === 0 ? {} : { accuracy: hits.filter(Boolean).length / hits.length };
}

/**
 * Retrieval measures: each anchor searches for its positives among the positives and hard negatives of all samples, with every text counted
 * once.
 */
function rankMeasures(met: readonly MetGroup[]): Record<string, number> {
  const documents = new Map<string, number>();
  const vectorsOfDocuments: Float32Array[] = [];
  const queries = new Map<string, { readonly vector: Float32Array; readonly relevant: Set<number> }>();
  for (const { group, vectors } of met) {
    for (const [side, ids] of group.texts.entries())
      if (side > 0 && !documents.has(ids.join())) {
        documents.set(ids.join(), vectorsOfDocuments.length);
        vectorsOfDocuments.push(required(vectors[side], `text ${side}`));
      }
    const [anchor, positive] = [required(group.texts[0], 'the anchor').join(), required(group.texts[1], 'the positive').join()];
    const query = queries.get(anchor) ?? { vector: required(vectors[0], 'the anchor'), relevant: new Set<number>() };
    query.relevant.add(valueFor(documents, positive));
    queries.set(anchor, query);
  }
  const all = [...queries.values()];
  return retrievalMeasures({
    queries: all.map(({ vector }) => vector),
    documents: vectorsOfDocuments,
    relevant: all.map(({ relevant }) => relevant),
  });
}
