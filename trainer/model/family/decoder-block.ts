/** One block of a decoder: its modules, and their forward pass. */
import type { Node } from '../../graph/graph.ts';
import { type Activation, activations, swiglu } from '../layer/activation.ts';
import { type AttentionMask, attention, queryChunk } from '../layer/attention.ts';
import { type RotaryTables, rotate } from '../layer/rotary.ts';
import type { ModuleSpec, TokenInputs } from '../model-spec.ts';
import { linearSpec, normSpec } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import type { DecoderConfig } from './decoder.ts';

export interface Block {
  readonly beforeAttention: ModuleSpec | undefined;
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
  readonly qNorm: ModuleSpec | undefined;
  readonly kNorm: ModuleSpec | undefined;
  readonly o: ModuleSpec;
  readonly afterAttention: ModuleSpec | undefined;
  readonly beforeMlp: ModuleSpec | undefined;
  readonly gate: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
  readonly afterMlp: ModuleSpec | undefined;
}

export function blockOf(config: DecoderConfig, layer: number): Block {
  const { names, hiddenSize, mlp, norms } = config;
  const { heads, kvHeads, headDim, biases, innerNorms } = config.attention;
  const own = names.block(layer);
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const attends = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(name, { part: 'attention', layer }, out, width, biased);
  const feeds = (name: string, out: number, width: number) => linearSpec(name, { part: 'mlp', layer }, out, width, mlp.biased);
  const norm = (name: string | undefined, width = hiddenSize) =>
    name === undefined ? undefined : normSpec(name, layer, width, norms.offset);
  const inner = (name: string, width: number) => (innerNorms ? norm(name, innerNorms === 'heads' ? headDim : width) : undefined);
  return {
    beforeAttention: norm(own.norms.beforeAttention),
    q: attends(own.q, queries, hiddenSize, biases.qkv),
    k: attends(own.k, keys, hiddenSize, biases.qkv),
    v: attends(own.v, keys, hiddenSize, biases.qkv),
    qNorm: inner(own.qNorm, queries),
    kNorm: inner(own.kNorm, keys),
    o: attends(own.o, hiddenSize, queries, biases.output),
    afterAttention: norm(own.norms.afterAttention),
    beforeMlp: norm(own.norms.beforeMlp),
    gate: feeds(own.gate, mlp.intermediateSize, hiddenSize),
    up: feeds(own.up, mlp.intermediateSize, hiddenSize),
    down: feeds(own.down, hiddenSize, mlp.intermediateSize),
    afterMlp: norm(own.norms.afterMlp),
  };
}

/** In the order of the forward pass. */
export const modulesOf = (block: Block): ModuleSpec[] =>
  [
    ...[block.beforeAttention, block.q, block.k, block.v, block.qNorm, block.kNorm, block.o, block.afterAttention],
    ...[block.beforeMlp, block.gate, block.up, block.down, block.afterMlp],
  ].filter(module => module !== undefined);

export interface BlockParams {
  readonly config: DecoderConfig;
  readonly block: Block;
  readonly layer: number;
  readonly batch: number;
  readonly tokens: number;
  /** Left out where queries and keys are not turned. */
  readonly rotary: RotaryTables | undefined;
  readonly mask: AttentionMask;
  readonly cache: TokenInputs['cache'];
}

/** x [batch · tokens, hidden] → the same shape. */
export function traceBlock(tracer: Tracer, x: Node, params: BlockParams): Node {
  const { graph } = tracer;
  const { config, block } = params;
  const { norms, residualMultiplier } = config;
  const normed = (module: ModuleSpec | undefined, y: Node) => (module ? tracer.rmsNorm(module, y, norms.epsilon) : y);
  const added = (to: Node, y: Node) => graph.add(to, residualMultiplier === 1 ? y : graph.mul(y, residualMultiplier));
  const attended = tracer.linear(block.o, attend(tracer, normed(block.beforeAttention, x), params));
  const middle = added(x, normed(block.afterAttention, attended));
  return added(middle, normed(block.afterMlp, mlp(tracer, config, block, normed(block.beforeMlp, middle))));
}

/** x [batch · tokens, hidden] → the heads' outputs, [batch · tokens, heads · headDim]. */
function attend(tracer: Tracer, x: Node, { config, block, layer, batch, tokens, rotary, mask, cache }: BlockParams): Node {
  const { graph } = tracer;
  const { heads, kvHeads, headDim, dropout, scale, cap, innerNorms } = config.attention;
  const byHead = (y: Node, count: number) => graph.transpose(graph.reshape(y, [batch, tokens, count, headDim]), [0, 2, 1, 3]);
  const normed = (y: Node, norm: ModuleSpec | undefined, count: number) => {
    if (!norm) return y;
    const rows = innerNorms === 'heads' ? graph.reshape(y, [batch * tokens * count, headDim]) : y;
    return tracer.rmsNorm(norm, rows, config.norms.epsilon);
  };
  const turned = (module: ModuleSpec, norm: ModuleSpec | undefined, count: number) => {
    const y = byHead(normed(tracer.linear(module, x), norm, count), count);
    return tracer.keep(rotary ? rotate(graph, y, rotary) : y);
  };
  // Attention's gradient reads these forms, and no gradient reads the products that they come from.
  const q = turned(block.q, block.qNorm, heads);
  const ownK = turned(block.k, block.kNorm, kvHeads);
  const ownV = tracer.keep(byHead(tracer.linear(block.v, x), kvHeads));
  const { k, v } = cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  const out = attention(graph, {
    ...{ q, k, v, scale, mask },
    ...(cap !== undefined && { cap }),
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(dropout),
    compute: tracer.compute,
  });
  return graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * headDim]);
}

function mlp(tracer: Tracer, config: DecoderConfig, block: Block, x: Node): Node {
  const gate = tracer.linear(block.gate, x);
  const up = tracer.linear(block.up, x);
  const activation = activations[config.mlp.activation] as Activation;
  const gated = activation === activations.silu ? swiglu(tracer.graph, gate, up) : tracer.graph.mul(activation(tracer.graph, gate), up);
  return tracer.linear(block.down, gated);
}
