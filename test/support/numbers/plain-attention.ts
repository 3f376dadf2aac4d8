/** Attention that replaces a kernel on devices without one, and PJRT's CPU plugin, on which it runs. */
import { openEngine } from '../../../trainer/engine/open-engine.ts';
import type { Graph, Node } from '../../../trainer/graph/graph.ts';
import { dimensions } from '../../../trainer/graph/types.ts';
import { HIDDEN } from '../../../trainer/model/layer/attention/attention.ts';
import type { Attend } from '../../../trainer/plan/choices/check-attention.ts';
import { cacheDir } from '../cache-dir.ts';
import { attempt } from '../engines.ts';

const { engine, missing = 'the installed PJRT plugin is not the one for processors' } = await attempt('pjrt', () =>
  openEngine('pjrt', { cacheDir }),
);

/** The engine with PJRT's CPU plugin; undefined if it is not installed (see `noCpuPlugin`). */
export const cpuPlugin = engine?.description.device === 'cpu' ? engine : undefined;
export const noCpuPlugin = missing;

/** Computes attention without chunks in 32 bits, with the scale multiplied by `factor`. */
export const plainAttention =
  (factor = 1): Attend =>
  (graph, { q, k, v, scale, mask }) => {
    const [batch, heads, tokens, width] = dimensions(q.shape, 4);
    const shared = k.shape[1] as number;
    const ofEachHead = (x: Node) => {
      const repeated = graph.broadcast(graph.reshape(x, [batch, shared, 1, tokens, width]), [batch, shared, heads / shared, tokens, width]);
      return graph.reshape(repeated, [batch, heads, tokens, width]);
    };
    const bias = mask.kind === 'bias' ? graph.reshape(mask.bias, [mask.bias.shape[0] as number, 1, ...mask.bias.shape.slice(1)]) : 0;
    const isCausal = mask.kind === 'causal' || (mask.kind === 'bias' && mask.causal);
    const scores = graph.add(graph.mul(graph.matmul(q, ofEachHead(k), { transposeB: true }), factor * scale), bias);
    return graph.matmul(graph.softmax(graph.add(scores, isCausal ? later(graph, tokens) : 0)), ofEachHead(v));
  };

const later = (graph: Graph, tokens: number): Node =>
  graph.constant(
    Float32Array.from({ length: tokens ** 2 }, (_, i) => (i % tokens > Math.floor(i / tokens) ? HIDDEN : 0)),
    [tokens, tokens],
    'float32',
  );
