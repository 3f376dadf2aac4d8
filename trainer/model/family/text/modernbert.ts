/**
 * ModernBERT (Warner et al. 2024), matching Transformers' outputs: blocks with global attention alternate with blocks with local attention.
 */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { activationOf } from '../../layer/activation.ts';
import type { AttentionMask } from '../../layer/attention/attention.ts';
import { withinDistance } from '../../layer/attention/local-mask.ts';
import { attend, paddingMask, splitHeads } from '../../layer/attention/self-attention.ts';
import { ropeFrequencies } from '../../layer/positions/rope-scaling.ts';
import { type RotaryTables, rotaryTables, rotate } from '../../layer/positions/rotary.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { embeddingSpec, linearSpec, type ModuleSpec, moduleSpec, withHeads } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { textClassifier } from './text-classifier.ts';
import { firstToken, meanOfSeen, type TokenBatch } from './text-encoder.ts';

/** The sizes and switches of one model, read from its config.json by `modernbert-config.ts`. */
export interface ModernBertConfig extends Labels {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly maxPositions: number;
  /** For each block: whether a token attends only to tokens within `distance`. */
  readonly isLocal: readonly boolean[];
  readonly distance: number;
  /** RoPE bases of blocks with global and with local attention. */
  readonly thetas: { readonly whole: number; readonly local: number };
  readonly paddingRow: number | undefined;
  readonly padId: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly biased: { readonly norms: boolean; readonly attention: boolean; readonly mlp: boolean; readonly head: boolean };
  readonly dropout: { readonly embedding: number; readonly attention: number; readonly mlp: number; readonly head: number };
  /** The input of the head: the first token's state, or the mean of all. */
  readonly pooling: 'first' | 'mean';
  readonly headActivation: string;
}

interface Block {
  /** Undefined in the first block, which reads the normalized embedding. */
  readonly attentionNorm: ModuleSpec | undefined;
  /** Queries, keys and values of all heads. */
  readonly qkv: ModuleSpec;
  readonly o: ModuleSpec;
  readonly mlpNorm: ModuleSpec;
  /** Both the part that passes through the activation, and the part it multiplies. */
  readonly gateAndUp: ModuleSpec;
  readonly down: ModuleSpec;
}

interface Parts {
  readonly config: ModernBertConfig;
  readonly words: ModuleSpec;
  readonly wordNorm: ModuleSpec;
  readonly blocks: readonly Block[];
  readonly finalNorm: ModuleSpec;
  readonly dense: ModuleSpec;
  readonly denseNorm: ModuleSpec;
  readonly classifier: ModuleSpec;
}

export function modernBert(config: ModernBertConfig): ClassifierModel {
  const { vocabularySize, hiddenSize, biased, labels } = config;
  const norm = (name: string, layer = -1) => moduleSpec(name, 'norm', { part: 'norm', layer }, [hiddenSize], biased.norms);
  const inHead = { part: 'head', layer: -1 } as const;
  const parts: Parts = {
    config,
    words: embeddingSpec('model.embeddings.tok_embeddings', vocabularySize, hiddenSize, config.paddingRow),
    wordNorm: norm('model.embeddings.norm'),
    blocks: config.isLocal.map((_, layer) => blockOf(config, norm, layer)),
    finalNorm: norm('model.final_norm'),
    dense: linearSpec('head.dense', inHead, hiddenSize, hiddenSize, biased.head),
    denseNorm: norm('head.norm'),
    classifier: headSpec(linearSpec('classifier', inHead, labels.length, hiddenSize), config.fresh),
  };
  const { words, wordNorm, blocks, finalNorm, dense, denseNorm, classifier } = parts;
  const body = [words, wordNorm, ...blocks.flatMap(modulesOf), finalNorm];
  return textClassifier({
    family: 'modernbert',
    config,
    tokenTypes: 0,
    maxPositions: config.maxPositions,
    blocks: blocks.length,
    body,
    head: [dense, denseNorm, classifier],
    hidden: (tracer, inputs) => hidden(tracer, inputs, parts),
    logits: (tracer, states, inputs) => logits(tracer, states, inputs, parts),
  });
}

function blockOf(
  { hiddenSize, heads, intermediateSize, biased }: ModernBertConfig,
  norm: (name: string, layer: number) => ModuleSpec,
  layer: number,
): Block {
  const at = `model.layers.${layer}`;
  const headDim = hiddenSize / heads;
  const [attention, mlp] = [{ part: 'attention', layer } as const, { part: 'mlp', layer } as const];
  return {
    attentionNorm: layer > 0 ? norm(`${at}.attn_norm`, layer) : undefined,
    qkv: withHeads(linearSpec(`${at}.attn.Wqkv`, attention, 3 * hiddenSize, hiddenSize, biased.attention), { rows: headDim }),
    o: withHeads(linearSpec(`${at}.attn.Wo`, attention, hiddenSize, hiddenSize, biased.attention), { columns: headDim }),
    mlpNorm: norm(`${at}.mlp_norm`, layer),
    gateAndUp: linearSpec(`${at}.mlp.Wi`, mlp, 2 * intermediateSize, hiddenSize, biased.mlp),
    down: linearSpec(`${at}.mlp.Wo`, mlp, hiddenSize, intermediateSize, biased.mlp),
  };
}

const modulesOf = (b: Block): ModuleSpec[] =>
  [b.attentionNorm, b.qkv, b.o, b.mlpNorm, b.gateAndUp, b.down].filter(module => module !== undefined);

/** Tensors that blocks of one kind share. */
interface SharedTensors {
  readonly mask: AttentionMask;
  readonly rotary: RotaryTables;
}

/** The last hidden states, [batch · tokens, hiddenSize]. */
function hidden(tracer: Tracer, { ids, seen }: TokenBatch, { config, words, wordNorm, blocks, finalNorm }: Parts): Node {
  const { graph } = tracer;
  const { thetas, distance, epsilon } = config;
  const [batch, tokens] = dimensions(ids.shape, 2);
  const present = paddingMask(graph, seen);
  const turnedBy = (theta: number) =>
    rotaryTables(graph, ropeFrequencies(config.hiddenSize / config.heads, theta, { type: 'default' }), tokens);
  const whole: SharedTensors = { mask: present, rotary: turnedBy(thetas.whole) };
  const local: SharedTensors = { mask: withinDistance(tracer, present, tokens, distance), rotary: turnedBy(thetas.local) };
  const word = tracer.layerNorm(wordNorm, tracer.embedding(words, graph.reshape(ids, [batch * tokens])), epsilon);
  let x = tracer.dropout(word, config.dropout.embedding);
  blocks.forEach((block, layer) => {
    x = graph.checkpointed(x, () => runBlock(tracer, config, block, x, batch, config.isLocal[layer] ? local : whole));
  });
  return tracer.layerNorm(finalNorm, x, epsilon);
}

/** x [batch · tokens, hiddenSize] → the same. */
function runBlock(tracer: Tracer, config: ModernBertConfig, block: Block, x: Node, batch: number, { mask, rotary }: SharedTensors): Node {
  const { graph } = tracer;
  const { hiddenSize, intermediateSize, heads, epsilon, dropout } = config;
  const normal = block.attentionNorm ? tracer.layerNorm(block.attentionNorm, x, epsilon) : x;
  const qkv = tracer.linear(block.qkv, normal);
  const part = (i: number) => splitHeads(graph, graph.sliceAxis(qkv, 1, i * hiddenSize, hiddenSize), { batch, heads });
  const rotated = (i: number) => tracer.keep(rotate(graph, part(i), rotary));
  const [q, k] = [rotated(0), rotated(1)];
  const scale = (hiddenSize / heads) ** -0.5;
  const attended = attend(tracer, { q, k, v: tracer.keep(part(2)), scale, mask, dropout: dropout.attention });
  const middle = graph.add(x, tracer.dropout(tracer.linear(block.o, attended), dropout.attention));
  const both = tracer.linear(block.gateAndUp, tracer.layerNorm(block.mlpNorm, middle, epsilon));
  const activation = activationOf(config.activation);
  const gate = activation(graph, graph.sliceAxis(both, 1, 0, intermediateSize));
  const gated = graph.mul(gate, graph.sliceAxis(both, 1, intermediateSize, intermediateSize));
  return graph.add(middle, tracer.linear(block.down, tracer.dropout(gated, dropout.mlp)));
}

function logits(tracer: Tracer, states: Node, inputs: TokenBatch, parts: Parts): Node {
  const { graph } = tracer;
  const { config } = parts;
  const pooled =
    config.problem === 'token_label'
      ? states
      : config.pooling === 'mean'
        ? meanOfSeen(graph, states, inputs.seen)
        : firstToken(graph, states, inputs.ids.shape[0] as number);
  const activation = activationOf(config.headActivation);
  const dense = tracer.layerNorm(parts.denseNorm, activation(graph, tracer.linear(parts.dense, pooled)), config.epsilon);
  return tracer.linear(parts.classifier, tracer.dropout(dense, config.dropout.head));
}
