/** Measures how fast an engine multiplies matrices: the one number that indicates its speed. */
import { Graph } from '../graph/graph.ts';
import { assemble } from '../graph/program.ts';
import { toBfloat16 } from '../graph/types.ts';
import type { Engine } from './engine.ts';

/** The shape of a linear layer of a small model for one batch: 512 tokens, 576 to 1536 features. */
const [TOKENS, IN, OUT] = [512, 576, 1536];
/** Products in one run, so that the overhead of starting a run is negligible. */
const PRODUCTS = 8;
const MEASURE_MS = 500;

/**
 * Returns the speed of a matrix product in GFLOP/s: the best run within half a second, after a warm-up. In bfloat16, the casts of x and y
 * are included.
 */
export async function measureMatmul(engine: Engine, dtype: 'float32' | 'bfloat16' = 'float32'): Promise<number> {
  const graph = new Graph();
  const x = graph.feed('x', [TOKENS, IN]);
  const products = Array.from({ length: PRODUCTS }, (_, i) => {
    const w = graph.read({ name: `w${i}`, shape: [OUT, IN], dtype });
    return graph.max(graph.cast(graph.matmul(graph.cast(x, dtype), w, { transposeB: true }), 'float32'), [0, 1]);
  });
  const y = products.reduce((sum, product) => graph.add(sum, product));
  const session = await engine.compile(assemble({ main: { graph, outputs: { y }, effects: [] } }));
  try {
    const weights = new Float32Array(OUT * IN).fill(1 / 64);
    await session.load(products.map((_, i) => ({ name: `w${i}`, data: dtype === 'bfloat16' ? toBfloat16(weights) : weights })));
    const feeds = { x: new Float32Array(TOKENS * IN).fill(1 / 32) };
    await session.run('main', feeds);
    let best = Number.POSITIVE_INFINITY;
    const started = performance.now();
    do {
      const before = performance.now();
      await session.run('main', feeds);
      best = Math.min(best, performance.now() - before);
    } while (performance.now() - started < MEASURE_MS);
    return (2 * TOKENS * IN * OUT * PRODUCTS) / (best * 1e6);
  } finally {
    await session.dispose();
  }
}
