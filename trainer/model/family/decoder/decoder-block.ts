/** One block of a decoder: its modules, and their forward pass. */

import type { Node } from '../../../graph/graph.ts';
import { atLeast, elementAt, required } from '../../../narrow.ts';
import { activationOf, activations, swiglu } from '../../layer/activation.ts';
import { type AttentionMask, attention, queryChunk } from '../../layer/attention.ts';
import { type RotaryTables, rotate } from '../../layer/rotary.ts';
import type { TokenInputs } from '../../model-spec.ts';
import { linearSpec, type ModuleSpec, normSpec, parameterSpec, withHeads } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { type ExpertBlock, expertBlock, expertModules, traceExperts } from './decoder-experts.ts';

export interface Mlp {
  /** Gate and up: two layers, or one with the rows of both. */
  readonly gateUp: readonly ModuleSpec[];
  readonly down: ModuleSpec;
}

const isMixture = (mlp: Mlp | ExpertBlock): mlp is ExpertBlock => 'router' in mlp;

export interface Block {
  readonly beforeAttention: ModuleSpec | undefined;
  /** Queries, keys and values: three layers, or one with all rows. */
  readonly qkv: readonly ModuleSpec[];
  readonly qNorm: ModuleSpec | undefined;
  readonly kNorm: ModuleSpec | undefined;
  readonly sinks: ModuleSpec | undefined;
  readonly o: ModuleSpec;
  readonly afterAttention: ModuleSpec | undefined;
  readonly beforeMlp: ModuleSpec | undefined;
  readonly mlp: Mlp | ExpertBlock;
  readonly afterMlp: ModuleSpec | undefined;
}

export function blockOf(config: DecoderConfig, layer: number): Block {
  const { names, hiddenSize, mlp, norms } = config;
  const { heads, kvHeads, headDim, biases, innerNorms } = config.attention;
  const own = names.block(layer);
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const inner = mlp.intermediateSize;
  const attends = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(name, { part: 'attention', layer }, out, width, biased);
  const makesHeads = (name: string, out: number) => withHeads(attends(name, out, hiddenSize, biases.qkv), { rows: headDim });
  const feeds = (name: string, out: number, width: number) => linearSpec(name, { part: 'mlp', layer }, out, width, mlp.biased);
  const norm = (name: string | undefined, width = hiddenSize) =>
    name === undefined ? undefined : normSpec(name, layer, width, norms.offset);
  const headNorm = (name: string, width: number) => (innerNorms ? norm(name, innerNorms === 'heads' ? headDim : width) : undefined);
  return {
    beforeAttention: norm(own.norms.beforeAttention),
    qkv:
      own.qkv === undefined
        ? [makesHeads(own.q, queries), makesHeads(own.k, keys), makesHeads(own.v, keys)]
        : [withSections(makesHeads(own.qkv, queries + 2 * keys), { q_proj: queries, k_proj: keys, v_proj: keys })],
    qNorm: headNorm(own.qNorm, queries),
    kNorm: headNorm(own.kNorm, keys),
    sinks: config.attention.sinks ? { ...parameterSpec(own.sinks, [heads]), part: 'attention', layer } : undefined,
    o: withHeads(attends(own.o, hiddenSize, queries, biases.output), { columns: headDim }),
    afterAttention: norm(own.norms.afterAttention),
    beforeMlp: norm(own.norms.beforeMlp),
    mlp: config.experts?.layers[layer]
      ? expertBlock(config.experts, hiddenSize, layer, own.at)
      : {
          gateUp:
            own.gateUp === undefined
              ? [own.gate, own.up].map(name => feeds(name, inner, hiddenSize))
              : [withSections(feeds(own.gateUp, 2 * inner, hiddenSize), { gate_proj: inner, up_proj: inner })],
          down: feeds(own.down, hiddenSize, inner),
        },
    afterMlp: norm(own.norms.afterMlp),
  };
}

const mlpModules = (mlp: Mlp | ExpertBlock): readonly ModuleSpec[] => (isMixture(mlp) ? expertModules(mlp) : [...mlp.gateUp, mlp.down]);

/** In the order of the forward pass. */
export const modulesOf = (block: Block): ModuleSpec[] =>
  [
    ...[block.beforeAttention, ...block.qkv, block.qNorm, block.kNorm, block.sinks, block.o, block.afterAttention],
    ...[block.beforeMlp, ...mlpModules(block.mlp), block.afterMlp],
  ].filter(module => module !== undefined);

/** How queries and keys are turned. */
export interface Turn {
  readonly tables: RotaryTables;
  /** Multiplies the queries. */
  readonly growth: Node | undefined;
}

export interface BlockParams {
  readonly config: DecoderConfig;
  readonly block: Block;
  readonly layer: number;
  readonly batch: number;
  readonly tokens: number;
  /** Left out where queries and keys are not turned. */
  readonly turn: Turn | undefined;
  readonly mask: AttentionMask;
  readonly cache: TokenInputs['cache'];
}

/** x [batch · tokens, hidden] → the same shape. */
export function traceBlock(tracer: Tracer, x: Node, params: BlockParams): Node {
  const { graph } = tracer;
  const { config, block } = params;
  const { norms, residualMultiplier, residualDropout } = config;
  const normed = (module: ModuleSpec | undefined, y: Node) => (module ? tracer.rmsNorm(module, y, norms.epsilon) : y);
  const added = (to: Node, y: Node) => graph.add(to, graph.mul(tracer.dropout(y, residualDropout), residualMultiplier));
  const attended = tracer.linear(block.o, attend(tracer, normed(block.beforeAttention, x), params));
  const middle = added(x, normed(block.afterAttention, attended));
  return added(middle, normed(block.afterMlp, feed(tracer, config, block, normed(block.beforeMlp, middle))));
}

/** x [batch · tokens, hidden] → the heads' outputs, [batch · tokens, heads · headDim]. */
function attend(tracer: Tracer, x: Node, { config, block, layer, batch, tokens, turn, mask, cache }: BlockParams): Node {
  const { graph } = tracer;
  const { heads, kvHeads, headDim, dropout, scale, cap, innerNorms } = config.attention;
  const byHead = (y: Node, count: number) => graph.transpose(graph.reshape(y, [batch, tokens, count, headDim]), [0, 2, 1, 3]);
  const normed = (y: Node, norm: ModuleSpec | undefined, count: number) => {
    if (!norm) return y;
    const rows = innerNorms === 'heads' ? graph.reshape(y, [batch * tokens * count, headDim]) : y;
    return tracer.rmsNorm(norm, rows, config.norms.epsilon);
  };
  const turned = (product: () => Node, norm: ModuleSpec | undefined, count: number) => {
    const y = byHead(normed(product(), norm, count), count);
    return turn ? rotate(graph, y, turn.tables) : y;
  };
  const [makeQ, makeK, makeV] = atLeast(products(tracer, block.qkv, x, [heads * headDim, kvHeads * headDim, kvHeads * headDim]), 3);
  const queries = turned(makeQ, block.qNorm, heads);
  // Attention's gradient reads these forms, and no gradient reads the products that they come from.
  const q = tracer.keep(turn?.growth ? graph.mul(queries, turn.growth) : queries);
  const ownK = tracer.keep(turned(makeK, block.kNorm, kvHeads));
  const ownV = tracer.keep(byHead(makeV(), kvHeads));
  const { k, v } = cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  const out = attention(graph, {
    ...{ q, k, v, scale, mask },
    ...(cap !== undefined && { cap }),
    ...(block.sinks && { sinks: tracer.parameter(block.sinks.weight) }),
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(dropout),
    compute: tracer.compute,
    fused: tracer.fusesAttention,
  });
  return graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * headDim]);
}

function feed(tracer: Tracer, config: DecoderConfig, { mlp }: Block, x: Node): Node {
  if (isMixture(mlp)) return traceExperts(tracer, required(config.experts, 'the description of the experts'), mlp, x);
  const { intermediateSize } = config.mlp;
  const [makeGate, makeUp] = atLeast(products(tracer, mlp.gateUp, x, [intermediateSize, intermediateSize]), 2);
  const [gate, up] = [makeGate(), makeUp()];
  const activation = activationOf(config.mlp.activation);
  const gated = activation === activations.silu ? swiglu(tracer.graph, gate, up) : tracer.graph.mul(activation(tracer.graph, gate), up);
  return tracer.linear(mlp.down, gated);
}

/** The products of layers, or the parts of that of one layer with the rows of all; each made when it is first asked for. */
function products(tracer: Tracer, modules: readonly ModuleSpec[], x: Node, sizes: readonly number[]): readonly (() => Node)[] {
  const [only, ...others] = modules;
  let whole: Node | undefined;
  const part = (module: ModuleSpec, begin: number, size: number): Node => {
    whole ??= tracer.linear(module, x);
    return tracer.graph.sliceAxis(whole, -1, begin, size);
  };
  return sizes.map((size, i) => () => {
    if (only && others.length === 0) return part(only, sumOf(sizes.slice(0, i)), size);
    return tracer.linear(elementAt(modules, i), x);
  });
}

const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

const withSections = (module: ModuleSpec, rows: Readonly<Record<string, number>>): ModuleSpec => ({
  ...module,
  sections: Object.entries(rows).map(([name, count]) => ({ name, rows: count })),
});
