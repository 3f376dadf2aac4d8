/** The Llama family: Llama 2 and 3, SmolLM2, Mistral, Qwen2 (Touvron et al. 2023), with Transformers' numbers. */
import type { Graph, Node } from '../../graph/graph.ts';
import { type Activation, activations, swiglu } from '../layer/activation.ts';
import { type AttentionMask, attention, HIDDEN, queryChunk } from '../layer/attention.ts';
import { type RopeScaling, type RotaryTables, ropeFrequencies, rotaryTables, rotaryTablesAt, rotate } from '../layer/rotary.ts';
import type { CausalModel, ModuleSpec, TokenInputs } from '../model-spec.ts';
import { embeddingSpec, linearSpec, moduleSpec, parametersOf } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';

/** The sizes and switches of one model, read from its config.json by `llama-config.ts`. */
export interface LlamaConfig {
  readonly family: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly blocks: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  readonly tied: boolean;
  /** Of the attention's probabilities, in training. */
  readonly attentionDropout: number;
  /** The row of the embedding that padding has, which no gradient reaches. */
  readonly paddingRow: number | undefined;
  /** Biases of q, k, v; of o; of the MLP. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** In some blocks a query sees only the last `size` keys, itself among them. */
  readonly slidingWindow?: { readonly size: number; readonly blocks: readonly boolean[] };
}

interface Block {
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
  readonly o: ModuleSpec;
  readonly gate: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
  readonly inputNorm: ModuleSpec;
  readonly postNorm: ModuleSpec;
}

export function llama(config: LlamaConfig): CausalModel {
  const blocks = Array.from({ length: config.blocks }, (_, layer) => blockModules(config, layer));
  const { vocabularySize, hiddenSize } = config;
  const embedding = embeddingSpec('model.embed_tokens', vocabularySize, hiddenSize, config.paddingRow);
  const finalNorm = moduleSpec('model.norm', 'norm', { part: 'norm', layer: -1 }, [hiddenSize]);
  const head = config.tied ? embedding : linearSpec('lm_head', { part: 'head', layer: -1 }, vocabularySize, hiddenSize, false);
  const inBlocks = blocks.flatMap(b => [b.inputNorm, b.q, b.k, b.v, b.o, b.postNorm, b.gate, b.up, b.down]);
  const modules = [embedding, ...inBlocks, finalNorm, ...(config.tied ? [] : [head])];
  return {
    kind: 'causal',
    family: config.family,
    blocks: config.blocks,
    hiddenSize,
    vocabularySize,
    maxPositions: config.maxPositions,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    parameters: parametersOf(modules),
    modules,
    head,
    hidden: (tracer, inputs) => hidden(tracer, inputs, { config, blocks, embedding, finalNorm }),
  };
}

function blockModules(config: LlamaConfig, layer: number): Block {
  const at = `model.layers.${layer}`;
  const { hiddenSize, intermediateSize, qkvBias, outputBias, mlpBias } = config;
  const queries = config.heads * config.headDim;
  const keys = config.kvHeads * config.headDim;
  const attends = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(`${at}.self_attn.${name}`, { part: 'attention', layer }, out, width, biased);
  const mlp = (name: string, out: number, width: number) => linearSpec(`${at}.mlp.${name}`, { part: 'mlp', layer }, out, width, mlpBias);
  const norm = (name: string) => moduleSpec(`${at}.${name}`, 'norm', { part: 'norm', layer }, [hiddenSize]);
  return {
    q: attends('q_proj', queries, hiddenSize, qkvBias),
    k: attends('k_proj', keys, hiddenSize, qkvBias),
    v: attends('v_proj', keys, hiddenSize, qkvBias),
    o: attends('o_proj', hiddenSize, queries, outputBias),
    gate: mlp('gate_proj', intermediateSize, hiddenSize),
    up: mlp('up_proj', intermediateSize, hiddenSize),
    down: mlp('down_proj', hiddenSize, intermediateSize),
    inputNorm: norm('input_layernorm'),
    postNorm: norm('post_attention_layernorm'),
  };
}

interface Parts {
  readonly config: LlamaConfig;
  readonly blocks: readonly Block[];
  readonly embedding: ModuleSpec;
  readonly finalNorm: ModuleSpec;
}

function hidden(tracer: Tracer, inputs: TokenInputs, { config, blocks, embedding, finalNorm }: Parts): Node {
  const { graph } = tracer;
  const [batch, tokens] = inputs.ids.shape as [number, number];
  const frequencies = ropeFrequencies(config.headDim, config.ropeTheta, config.ropeScaling);
  const rotary = inputs.positions ? rotaryTablesAt(graph, frequencies, inputs.positions) : rotaryTables(graph, frequencies, tokens);
  const narrow = withWindow(graph, inputs, tokens, config.slidingWindow?.size);
  let x = tracer.embedding(embedding, graph.reshape(inputs.ids, [batch * tokens]));
  blocks.forEach((block, layer) => {
    x = graph.checkpointed(x, () => {
      const normal = tracer.rmsNorm(block.inputNorm, x, config.epsilon);
      const mask = config.slidingWindow?.blocks[layer] ? narrow : inputs.mask;
      const attended = attend(tracer, { config, block, layer, x: normal, batch, tokens, rotary, inputs: { ...inputs, mask } });
      const middle = graph.add(x, tracer.linear(block.o, attended));
      return graph.add(middle, mlp(tracer, config, block, tracer.rmsNorm(block.postNorm, middle, config.epsilon)));
    });
  });
  return tracer.rmsNorm(finalNorm, x, config.epsilon);
}

interface AttendParams {
  readonly config: LlamaConfig;
  readonly block: Block;
  readonly layer: number;
  readonly x: Node;
  readonly batch: number;
  readonly tokens: number;
  readonly rotary: RotaryTables;
  readonly inputs: TokenInputs;
}

/** Normalised x [batch · tokens, hidden] → the heads' outputs, [batch · tokens, heads · headDim]. */
function attend(tracer: Tracer, { config, block, layer, x, batch, tokens, rotary, inputs }: AttendParams): Node {
  const { graph } = tracer;
  const { heads, kvHeads, headDim } = config;
  const byHead = (y: Node, count: number) => graph.transpose(graph.reshape(y, [batch, tokens, count, headDim]), [0, 2, 1, 3]);
  // Attention's gradient reads these forms, and no gradient reads the products that they come from.
  const q = tracer.keep(rotate(graph, byHead(tracer.linear(block.q, x), heads), rotary));
  const ownK = tracer.keep(rotate(graph, byHead(tracer.linear(block.k, x), kvHeads), rotary));
  const ownV = tracer.keep(byHead(tracer.linear(block.v, x), kvHeads));
  const { k, v } = inputs.cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  const out = attention(graph, {
    q,
    k,
    v,
    scale: headDim ** -0.5,
    mask: inputs.mask,
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(config.attentionDropout),
    compute: tracer.compute,
  });
  return graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * headDim]);
}

function mlp(tracer: Tracer, config: LlamaConfig, block: Block, x: Node): Node {
  const gate = tracer.linear(block.gate, x);
  const up = tracer.linear(block.up, x);
  const activation = activations[config.activation] as Activation;
  const gated = activation === activations.silu ? swiglu(tracer.graph, gate, up) : tracer.graph.mul(activation(tracer.graph, gate), up);
  return tracer.linear(block.down, gated);
}

/** Hides the keys that lie further back than the window, where a sequence (or its cache) is long enough for that. */
function withWindow(graph: Graph, { mask, positions, cache }: TokenInputs, tokens: number, window: number | undefined): AttentionMask {
  if (window === undefined || mask.kind === 'all') return mask;
  if (cache && positions && mask.kind === 'bias') return withCachedWindow(graph, mask, positions, window);
  if (tokens <= window) return mask;
  const far = new Float32Array(tokens * tokens);
  for (let i = window; i < tokens; i++) far.fill(HIDDEN, i * tokens, i * tokens + i - window + 1);
  const bias = graph.constant(far, [1, tokens, tokens], 'float32');
  return { kind: 'bias', bias: mask.kind === 'bias' ? graph.add(mask.bias, bias) : bias, causal: true };
}

/** In a cache, key j is the token at position j. */
function withCachedWindow(graph: Graph, mask: AttentionMask & { kind: 'bias' }, positions: Node, window: number): AttentionMask {
  const [batch, tokens, keys] = mask.bias.shape as [number, number, number];
  if (keys <= window) return mask;
  const keyPositions = graph.constant(
    Int32Array.from({ length: keys }, (_, i) => i),
    [1, 1, keys],
    'int32',
  );
  const isNear = graph.less(graph.sub(graph.reshape(positions, [batch, tokens, 1]), keyPositions), window);
  return { ...mask, bias: graph.add(mask.bias, graph.select(isNear, graph.scalar(0), graph.scalar(HIDDEN))) };
}
