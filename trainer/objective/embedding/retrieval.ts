/** Measures of how well vectors find the texts that belong to a query. */
import { required } from '../../narrow.ts';

export interface RetrievalParams {
  /** Vectors of length 1. */
  readonly queries: readonly Float32Array[];
  readonly documents: readonly Float32Array[];
  /** For each query, the indices of its relevant documents; at least one. */
  readonly relevant: readonly ReadonlySet<number>[];
}

/** Number of top documents that the measures use, as in sentence-transformers' evaluators. */
const DEPTH = 10;
const RECALLS = [1, 5, 10] as const;

/**
 * `recall_at_1`, `_5` and `_10`: the share of a query's documents among the first; `mrr_at_10`: 1 / rank of the first of them;
 * `ndcg_at_10`: Σ 1 / log2(rank + 1) over them, relative to the best order. Means over the queries that `askedQueries` returns.
 */
export function retrievalMeasures({ queries, documents, relevant }: RetrievalParams): Record<string, number> {
  const sums: Record<string, number> = {};
  const asked = askedQueries(queries.length, documents.length * (documents[0]?.length ?? 0));
  const add = (name: string, value: number): void => {
    sums[name] = (sums[name] ?? 0) + value / asked.length;
  };
  for (const place of asked) {
    const query = required(queries[place], `query ${place}`);
    const wanted = relevant[place] ?? new Set();
    const hits = nearest(query, documents, DEPTH).map(document => wanted.has(document));
    for (const [name, value] of Object.entries(hitMeasures(hits, wanted.size))) add(name, value);
  }
  return sums;
}

/** The measures of one query. @param found whether each document is relevant, nearest first @param wanted number of relevant documents */
export function hitMeasures(found: readonly boolean[], wanted: number): Record<string, number> {
  const hits = found.slice(0, DEPTH);
  const first = hits.indexOf(true);
  return {
    ...Object.fromEntries(RECALLS.map(k => [`recall_at_${k}`, hits.slice(0, k).filter(Boolean).length / wanted])),
    mrr_at_10: first < 0 ? 0 : 1 / (first + 1),
    ndcg_at_10: gain(hits) / gain(Array.from({ length: Math.min(wanted, DEPTH) }, () => true)),
  };
}

/** Maximum number of multiplications per evaluation: about ten seconds on one core. */
const MAX_PRODUCTS = 1e10;

/** Minimum number of queries: fewer are not representative. */
const MIN_QUERIES = 100;

/**
 * The indices of the queries that are evaluated: all of them, or evenly spaced ones, as many as the time limit allows. Each is compared
 * with all documents, so the means are estimates from a sample of the queries.
 * @param products multiplications per query
 */
export function askedQueries(queries: number, products: number): number[] {
  const affordable = Math.max(MIN_QUERIES, Math.floor(MAX_PRODUCTS / Math.max(1, products)));
  const count = Math.min(queries, affordable);
  return Array.from({ length: count }, (_, i) => Math.floor((i * queries) / count));
}

const gain = (hits: readonly boolean[]): number => hits.reduce((sum, hit, rank) => sum + (hit ? 1 / Math.log2(rank + 2) : 0), 0);

/** The indices of the nearest vectors, nearest first; the first index among equals. */
export function nearest(query: Float32Array, vectors: readonly Float32Array[], count: number): number[] {
  const best: { readonly place: number; readonly cosine: number }[] = [];
  for (const [place, vector] of vectors.entries()) {
    const found = { place, cosine: dot(query, vector) };
    if (best.length === count && found.cosine <= (best[count - 1]?.cosine ?? 0)) continue;
    const at = best.findIndex(({ cosine }) => cosine < found.cosine);
    best.splice(at < 0 ? best.length : at, 0, found);
    if (best.length > count) best.pop();
  }
  return best.map(({ place }) => place);
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** The vector normalized to length 1; a zero vector is returned unchanged. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector));
  return length > 0 ? vector.map(value => value / length) : vector;
}
