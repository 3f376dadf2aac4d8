/**
 * The products that a delta net computes from its input: four layers (Qwen3.5), two with one run of rows per key head (Qwen3-Next), or six
 * (OLMo Hybrid).
 */

import type { Node } from '../../../../graph/graph.ts';
import { linearSpec, type ModuleSpec, type RowRun, type Stack, withHeads } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { withSections } from './products.ts';

export interface DeltaHeads {
  readonly keyHeads: number;
  /** Number of value heads, a multiple of the key heads; neighboring value heads share one key head. */
  readonly heads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /**
   * How the products are stored.
   * - joined: queries, keys and values in one matrix
   * - by head: all rows that belong to one key head are contiguous
   * - apart: one matrix each
   */
  readonly storage: 'joined' | 'by head' | 'apart';
}

export type DeltaProducts =
  | {
      readonly kind: 'separate';
      /** Queries, keys and values: three layers, or one with all rows. */
      readonly qkv: readonly ModuleSpec[];
      /** The gate of the output. */
      readonly gate: ModuleSpec;
      /** How much each head writes, and how fast it forgets. */
      readonly rate: ModuleSpec;
      readonly decay: ModuleSpec;
    }
  | {
      readonly kind: 'byHead';
      /** For each key head its query, its key, and the values and gates of the value heads that share it. */
      readonly qkvGate: ModuleSpec;
      /** For each key head the rates and the decays of the value heads that share it. */
      readonly rateDecay: ModuleSpec;
    };

interface Sizes {
  /** Features of all key heads, and of all value heads. */
  readonly keys: number;
  readonly values: number;
  /** Number of value heads that share a key head. */
  readonly shared: number;
}

const sizesOf = ({ keyHeads, heads, keyDim, valueDim }: DeltaHeads): Sizes => ({
  keys: keyHeads * keyDim,
  values: heads * valueDim,
  shared: heads / keyHeads,
});

/** @param path the name of the delta net */
export function deltaProducts(delta: DeltaHeads, hiddenSize: number, layer: number, path: string): DeltaProducts {
  const { keyHeads, heads, keyDim, valueDim, storage } = delta;
  const { keys, values, shared } = sizesOf(delta);
  const linear = (name: string, rows: number): ModuleSpec =>
    linearSpec(`${path}.${name}`, { part: 'attention', layer }, rows, hiddenSize, false);
  if (storage === 'by head') {
    const wide = shared * valueDim;
    const rows = 2 * keyDim + 2 * wide;
    const whole = withHeads(linear('in_proj_qkvz', keyHeads * rows), { rows });
    // GGUF stores the same tensors as Qwen3.5.
    const [qkv, gate] = [`${path}.in_proj_qkv.weight`, `${path}.in_proj_z.weight`];
    const parts: readonly RowRun[] = [
      { name: qkv, begin: 0, rows: keyDim },
      { name: qkv, begin: keys, rows: keyDim },
      { name: qkv, begin: 2 * keys, rows: wide },
      { name: gate, begin: 0, rows: wide },
    ];
    const stack: Stack = { experts: keyHeads, key: 'linear_num_key_heads', forms: [{ kind: 'runs', parts }] };
    return {
      kind: 'byHead',
      qkvGate: { ...whole, weight: { ...whole.weight, stack } },
      rateDecay: withHeads(linear('in_proj_ba', 2 * heads), { rows: 2 * shared }),
    };
  }
  if (storage === 'apart') {
    return {
      kind: 'separate',
      qkv: [
        withHeads(linear('q_proj', keys), { rows: keyDim }),
        withHeads(linear('k_proj', keys), { rows: keyDim }),
        withHeads(linear('v_proj', values), { rows: valueDim }),
      ],
      gate: withHeads(linear('g_proj', values), { rows: valueDim }),
      rate: linear('b_proj', heads),
      decay: linear('a_proj', heads),
    };
  }
  const qkv = withSections(linear('in_proj_qkv', 2 * keys + values), { q_proj: keys, k_proj: keys, v_proj: values });
  return {
    kind: 'separate',
    qkv: [keyDim === valueDim ? withHeads(qkv, { rows: keyDim }) : qkv],
    gate: withHeads(linear('in_proj_z', values), { rows: valueDim }),
    rate: linear('in_proj_b', heads),
    decay: linear('in_proj_a', heads),
  };
}

/** The modules in the order of the forward pass. */
export const deltaProductModules = (products: DeltaProducts): ModuleSpec[] =>
  products.kind === 'separate' ? [...products.qkv, products.gate, products.rate, products.decay] : [products.qkvGate, products.rateDecay];

export interface DeltaParts {
  /** Queries, keys and values of all heads, [tokens, channels]. */
  readonly qkv: Node;
  /** [tokens, heads · valueDim]. */
  readonly gate: Node;
  /** [tokens, heads], before the sigmoid. */
  readonly rate: Node;
  /** [tokens, heads], before the bias. */
  readonly decay: Node;
}

/** @param x [tokens, hidden] */
export function traceDeltaProducts(tracer: Tracer, products: DeltaProducts, delta: DeltaHeads, x: Node): DeltaParts {
  const { graph } = tracer;
  if (products.kind === 'separate') {
    const { qkv, gate, rate, decay } = products;
    const parts = qkv.map(module => tracer.linear(module, x));
    return { qkv: graph.concat(parts, 1), gate: tracer.linear(gate, x), rate: tracer.linear(rate, x), decay: tracer.linear(decay, x) };
  }
  const { keyHeads, keyDim, valueDim } = delta;
  const { shared } = sizesOf(delta);
  const tokens = x.shape[0] as number;
  const byHead = (module: ModuleSpec): ((begin: number, size: number) => Node) => {
    const product = graph.reshape(tracer.linear(module, x), [tokens, keyHeads, (module.weight.shape[0] as number) / keyHeads]);
    return (begin, size) => graph.reshape(graph.sliceAxis(product, 2, begin, size), [tokens, keyHeads * size]);
  };
  const [first, second] = [byHead(products.qkvGate), byHead(products.rateDecay)];
  const wide = shared * valueDim;
  return {
    qkv: graph.concat([first(0, keyDim), first(keyDim, keyDim), first(2 * keyDim, wide)], 1),
    gate: first(2 * keyDim + wide, wide),
    rate: second(0, shared),
    decay: second(shared, shared),
  };
}
