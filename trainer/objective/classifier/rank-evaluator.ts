/** Evaluation of rerankers: the loss, and how well the documents of each held-out query are ranked. */
import type { BatchSource } from '../../data/batch/batches.ts';
import type { LabeledText } from '../../data/load/load-labeled.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import { elementAt } from '../../narrow.ts';
import { addSums, type MeasureSums, meansOf } from '../../train/measure-sums.ts';
import { hitMeasures } from '../embedding/retrieval.ts';

/** Target value from which a document is relevant to its query. */
const RELEVANT = 0.5;

/** The tokens of a sample's query, as a key. */
export const queryOf = ({ ids, secondAt }: Pick<LabeledText, 'ids' | 'secondAt'>): string => ids.subarray(0, secondAt).join();

interface Scored {
  readonly score: number;
  readonly isRelevant: boolean;
}

/**
 * Evaluates rerankers. Samples with the same query are ranked together. Measures are means over the queries with a relevant document, as in
 * sentence-transformers' `CrossEncoderRerankingEvaluator`: `mrr_at_10`, `ndcg_at_10` and `map`; also `recall_at_1`, `_5` and `_10`.
 */
export const rankEvaluator = (source: BatchSource, examples: readonly LabeledText[]): Evaluator => ({
  source,
  samples: examples.length,
  extraFeeds: () => ({}),
  startTally: () => {
    const queries = new Map<string, Scored[]>();
    let [losses, samples] = [0, 0];
    return {
      add({ sampleIndices }, outputs) {
        for (const [row, sample] of sampleIndices.entries()) {
          const example = elementAt(examples, sample);
          const query = queryOf(example);
          const scored = { score: outputs.logits?.[row] ?? Number.NaN, isRelevant: example.target >= RELEVANT };
          const documents = queries.get(query);
          if (documents) documents.push(scored);
          else queries.set(query, [scored]);
          losses += outputs.losses?.[row] ?? Number.NaN;
          samples++;
        }
      },
      result: () => ({ loss: losses / samples, samples, targets: samples, measures: rankMeasures([...queries.values()]) }),
    };
  },
});

/** @param queries the scored documents of each query */
export function rankMeasures(queries: readonly (readonly Scored[])[]): Record<string, number> {
  let sums: MeasureSums = {};
  for (const documents of queries) {
    const hits = documents.toSorted((a, b) => b.score - a.score).map(({ isRelevant }) => isRelevant);
    const wanted = hits.filter(Boolean).length;
    if (wanted === 0) continue;
    const measures = { ...hitMeasures(hits, wanted), map: averagePrecision(hits) };
    sums = addSums(
      sums,
      Object.fromEntries(Object.entries(measures).map(([name, value]): [string, [number, number]] => [name, [value, 1]])),
    );
  }
  return meansOf(sums);
}

/** Average precision: the mean, over the relevant documents, of the precision at the rank of each. */
function averagePrecision(hits: readonly boolean[]): number {
  let [found, sum] = [0, 0];
  for (const [rank, isHit] of hits.entries()) if (isHit) sum += ++found / (rank + 1);
  return sum / found;
}
