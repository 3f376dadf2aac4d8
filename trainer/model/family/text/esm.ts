/**
 * ESM-1b and ESM-2, encoders of proteins (Rives et al. 2021, Lin et al. 2022), matching Transformers' outputs: blocks with a norm before
 * attention and before the MLP, and rotary positions, or a table of them. Models of DNA use the same class (Dalla-Torre et al. 2023).
 */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { paddingMask } from '../../layer/attention/self-attention.ts';
import { counting } from '../../layer/counting.ts';
import { ropeFrequencies } from '../../layer/positions/rope-scaling.ts';
import { type RotaryTables, rotaryTablesAt } from '../../layer/positions/rotary.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { type BiasedSpec, embeddingSpec, layerNormSpec, type ModuleSpec, type ParameterSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { Labels } from '../labels.ts';
import { attendToAll, type PreNormBlock, type PreNormConfig, preNormBlock, preNormModules, runPreNormBlock } from '../pre-norm-block.ts';
import { type FirstTokenHead, type FirstTokenHeadConfig, firstTokenHead, headLogits, headModules } from './first-token-head.ts';
import { textClassifier } from './text-classifier.ts';
import { addCountedPositions, type TokenBatch } from './text-encoder.ts';

/** The sizes and switches of one model, read from its config.json by `esm-config.ts`. */
export interface EsmConfig extends Labels, PreNormConfig {
  /** Prefix of the encoder's tensor names. */
  readonly prefix: string;
  readonly vocabularySize: number;
  readonly blocks: number;
  readonly padId: number;
  readonly paddingRow: number | undefined;
  readonly maxPositions: number;
  readonly positions: RotaryPositions | { readonly kind: 'table'; readonly rows: number };
  /** True if a norm follows the embeddings. */
  readonly normsEmbeddings: boolean;
  /** The token that hides others in pretraining, if its embedding is 0 and the others of its text grow instead. */
  readonly maskId: number | undefined;
  readonly head: FirstTokenHeadConfig;
}

interface RotaryPositions {
  readonly kind: 'rotary';
  /** The base of the frequencies, for files without them. */
  readonly theta: number;
}

interface Parts {
  readonly config: EsmConfig;
  readonly words: ModuleSpec;
  readonly table: ModuleSpec | undefined;
  readonly wordNorm: BiasedSpec | undefined;
  /** Angles of a step from token to token, in radians, [headDim / 2]. */
  readonly frequencies: ParameterSpec | undefined;
  readonly blocks: readonly PreNormBlock[];
  readonly finalNorm: BiasedSpec;
  readonly head: FirstTokenHead;
}

export function esm(config: EsmConfig): ClassifierModel {
  const { prefix, vocabularySize, hiddenSize, positions, normsEmbeddings, paddingRow, padId, maxPositions } = config;
  const layers = Array.from({ length: config.blocks }, (_, layer) => layer);
  const parts: Parts = {
    config,
    words: embeddingSpec(`${prefix}embeddings.word_embeddings`, vocabularySize, hiddenSize, paddingRow),
    table:
      positions.kind === 'table' ? embeddingSpec(`${prefix}embeddings.position_embeddings`, positions.rows, hiddenSize, padId) : undefined,
    wordNorm: normsEmbeddings ? layerNormSpec(`${prefix}embeddings.layer_norm`, -1, hiddenSize) : undefined,
    frequencies: positions.kind === 'rotary' ? frequenciesOf(config, positions) : undefined,
    blocks: layers.map(layer => blockOf(config, layer)),
    finalNorm: layerNormSpec(`${prefix}encoder.emb_layer_norm_after`, -1, hiddenSize),
    head: firstTokenHead(config.head, hiddenSize, config),
  };
  const { words, table, wordNorm, blocks, finalNorm, head } = parts;
  const first = [words, table, wordNorm].filter(module => module !== undefined);
  return textClassifier({
    family: 'esm',
    config,
    tokenTypes: 0,
    maxPositions,
    blocks: blocks.length,
    body: [...first, ...blocks.flatMap(preNormModules), finalNorm],
    buffers: parts.frequencies ? [parts.frequencies] : [],
    carried: [
      ...(positions.kind === 'rotary' ? layers.slice(1).map(layer => unusedFrequencies(config, layer)) : []),
      ...contactHead(config),
    ],
    head: headModules(head),
    hidden: (tracer, inputs) => hidden(tracer, inputs, parts),
    logits: (tracer, states, { ids }) => headLogits(tracer, config.head, head, states, ids.shape[0] as number),
  });
}

function blockOf(config: EsmConfig, layer: number): PreNormBlock {
  const at = `${config.prefix}encoder.layer.${layer}`;
  return preNormBlock(config, layer, {
    qkv: [`${at}.attention.self.query`, `${at}.attention.self.key`, `${at}.attention.self.value`],
    o: `${at}.attention.output.dense`,
    mlp: `${at}.intermediate.dense`,
    down: `${at}.output.dense`,
    inputNorm: `${at}.attention.LayerNorm`,
    middleNorm: `${at}.LayerNorm`,
  });
}

const frequencyName = ({ prefix }: EsmConfig, block: number | '*'): string =>
  `${prefix}encoder.layer.${block}.attention.self.rotary_embeddings.inv_freq`;

/**
 * The frequencies that all blocks share: those of the first block in files of Transformers 4; Transformers 5 writes one tensor. A file has
 * them as they were in pretraining, which may be rounded to 16 bits.
 */
function frequenciesOf(config: EsmConfig, { theta }: RotaryPositions): ParameterSpec {
  const features = config.hiddenSize / config.heads;
  const shape = [features / 2];
  const shared = { kind: 'runs', parts: [{ name: frequencyName(config, '*'), begin: 0, rows: features / 2 }] } as const;
  return {
    ...{ name: frequencyName(config, 0), shape, buffer: true, float32: true },
    usual: () => Float32Array.from(ropeFrequencies(features, theta, { type: 'default' })),
    stack: { experts: 1, forms: [shared] },
  };
}

/** The frequencies that a file of Transformers 4 has for another block than the first. */
const unusedFrequencies = (config: EsmConfig, layer: number): ParameterSpec => ({
  name: frequencyName(config, layer),
  shape: [config.hiddenSize / config.heads / 2],
});

/** A regression on attention that finds neighbors in the folded protein. */
const contactHead = ({ prefix, blocks, heads }: EsmConfig): ParameterSpec[] => [
  { name: `${prefix}contact_head.regression.weight`, shape: [1, blocks * heads] },
  { name: `${prefix}contact_head.regression.bias`, shape: [1] },
];

/** The last hidden states, [batch · tokens, hiddenSize]. */
function hidden(tracer: Tracer, inputs: TokenBatch, parts: Parts): Node {
  const { graph } = tracer;
  const { config, blocks, finalNorm } = parts;
  const [batch, tokens] = dimensions(inputs.ids.shape, 2);
  const mask = paddingMask(graph, inputs.seen);
  const rotary = rotaryTablesOf(tracer, parts, tokens);
  let x = embeddings(tracer, inputs, parts);
  for (const block of blocks)
    x = graph.checkpointed(x, () =>
      runPreNormBlock(tracer, config, block, x, batch, normal => attendToAll(tracer, config, block, normal, batch, rotary, mask)),
    );
  return tracer.layerNorm(finalNorm, x, config.epsilon);
}

/** The tables that all blocks share, each [1, 1, tokens, headDim / 2]. */
function rotaryTablesOf(tracer: Tracer, { frequencies }: Parts, tokens: number): RotaryTables | undefined {
  if (frequencies === undefined) return undefined;
  const { graph } = tracer;
  const row = graph.reshape(tracer.parameter(frequencies), [1, frequencies.shape[0] as number]);
  return rotaryTablesAt(graph, row, graph.reshape(counting(graph, 0, tokens), [1, tokens]));
}

/** [batch · tokens, hiddenSize]; 0 for padding. */
function embeddings(tracer: Tracer, { ids, seen }: TokenBatch, { config, words, table, wordNorm }: Parts): Node {
  const { graph } = tracer;
  const { maskId, padId, epsilon } = config;
  const [batch, tokens] = dimensions(ids.shape, 2);
  const rows = [batch * tokens, 1];
  const word = tracer.embedding(words, graph.reshape(ids, [batch * tokens]));
  const scaled = maskId === undefined ? word : graph.mul(word, graph.reshape(maskedScales(graph, ids, seen, maskId), rows));
  const placed = table ? addCountedPositions(tracer, table, scaled, ids, padId) : scaled;
  const normal = wordNorm ? tracer.layerNorm(wordNorm, placed, epsilon) : placed;
  return graph.mul(normal, graph.reshape(seen, rows));
}

/** The part of tokens that are hidden in pretraining: of the 15% that are predicted, 80% (Devlin et al. 2019). */
const HIDDEN_IN_PRETRAINING = 0.15 * 0.8;

/** 0 for hidden tokens; for the others of a text, the part that is seen in pretraining over the part that is seen in it: [batch, tokens]. */
function maskedScales(graph: Graph, ids: Node, seen: Node, maskId: number): Node {
  const isHidden = graph.cast(graph.equal(ids, graph.scalar(maskId, 'int32')), 'float32');
  const length = graph.maximum(graph.sum(seen, [1], true), 1);
  const shown = graph.sub(graph.scalar(1), graph.div(graph.sum(isHidden, [1], true), length));
  return graph.div(graph.mul(graph.sub(graph.scalar(1), isHidden), 1 - HIDDEN_IN_PRETRAINING), shown);
}
