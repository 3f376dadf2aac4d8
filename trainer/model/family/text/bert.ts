/**
 * BERT (Devlin et al. 2019) and descendants with the same blocks, matching Transformers' outputs. They differ in positions, widths and
 * head.
 */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import { type BiasBuckets, biasBuckets, biasScores, rowsByDistance } from '../../layer/attention/relative-attention.ts';
import { paddingMask, selfAttention } from '../../layer/attention/self-attention.ts';
import { type Positions, rotaryTablesOf } from '../../layer/positions/rope-scaling.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { embeddingSpec, type ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { Labels } from '../labels.ts';
import { type FirstTokenHead, type FirstTokenHeadConfig, firstTokenHead, headLogits, headModules } from './first-token-head.ts';
import { type BlockNames, blockModules, finishBlock, type PostNormBlock, type PostNormConfig, postNormBlock } from './post-norm-block.ts';
import { textClassifier } from './text-classifier.ts';
import { embeddingModules, embedText, type TextConfig, type TextEmbedding, type TokenBatch, textEmbedding } from './text-encoder.ts';

/** The sizes and parts of one model, read from its config.json. */
export interface BertConfig extends Labels, TextConfig, PostNormConfig {
  readonly family: string;
  /** The weight file's names for the layers of each block. */
  readonly blockNames: readonly BlockNames[];
  /** Indices of the blocks in the order in which they run, if some run more than once; by default, each runs once. */
  readonly blockOrder?: readonly number[];
  readonly heads: number;
  readonly padId: number;
  readonly attentionDropout: number;
  /** Biases of the scores by distance, which all blocks share, and their table in the weight file (MPNet). */
  readonly relative?: BiasBuckets & { readonly name: string; readonly rows: number };
  /** How all blocks rotate queries and keys, and the length of the longest text, in families without a table of positions. */
  readonly rotary?: { readonly positions: Positions; readonly maxPositions: number };
  readonly head: FirstTokenHeadConfig;
}

interface Parts {
  readonly config: BertConfig;
  readonly embedding: TextEmbedding;
  readonly relative: ModuleSpec | undefined;
  readonly blocks: readonly PostNormBlock[];
  /** The blocks in the order in which they run. */
  readonly run: readonly PostNormBlock[];
  readonly head: FirstTokenHead;
}

export function bert(config: BertConfig): ClassifierModel {
  const { family, hiddenSize, relative, rotary } = config;
  const blocks = config.blockNames.map((names, layer) => postNormBlock(config, layer, names));
  const parts: Parts = {
    config,
    embedding: textEmbedding(config),
    relative: relative && embeddingSpec(relative.name, relative.rows, config.heads),
    blocks,
    run: config.blockOrder?.map(block => elementAt(blocks, block)) ?? blocks,
    head: firstTokenHead(config.head, hiddenSize, config),
  };
  const table = parts.relative ? [parts.relative] : [];
  const body = [...embeddingModules(parts.embedding), ...table, ...parts.blocks.flatMap(blockModules)];
  return textClassifier({
    family,
    config,
    tokenTypes: config.tokenTypes,
    maxPositions: rotary?.maxPositions ?? config.positions - config.firstPosition,
    blocks: parts.run.length,
    body,
    head: headModules(parts.head),
    hidden: (tracer, inputs) => hidden(tracer, inputs, parts),
    logits: (tracer, states, { ids }) => headLogits(tracer, config.head, parts.head, states, ids.shape[0] as number),
  });
}

/** The last hidden states, [batch · tokens, hiddenSize]. */
function hidden(tracer: Tracer, inputs: TokenBatch, { config, embedding, relative, run }: Parts): Node {
  const { graph } = tracer;
  const [batch, tokens] = dimensions(inputs.ids.shape, 2);
  const mask = paddingMask(graph, inputs.seen);
  const rotary = config.rotary && rotaryTablesOf(graph, config.rotary.positions, tokens);
  const scores = relative && config.relative && positionScores(tracer, relative, config.relative, tokens);
  let x = embedText(tracer, inputs, embedding, config);
  for (const block of run) {
    x = graph.checkpointed(x, () => {
      const attended = selfAttention(tracer, {
        modules: block,
        heads: config.heads,
        x,
        batch,
        mask,
        rotary,
        scores,
        dropout: config.attentionDropout,
      });
      return finishBlock(tracer, config, block, x, attended);
    });
  }
  return x;
}

/** The biases of all pairs of tokens, [1, heads, tokens, tokens]. */
function positionScores(tracer: Tracer, table: ModuleSpec, buckets: BiasBuckets, tokens: number): Node {
  const { graph, longest } = tracer;
  // With one token more than the longest text has, that text reads part of the rows, as shorter ones do.
  const rows = biasBuckets(longest === undefined ? tokens : longest + 1, buckets).toReversed();
  return biasScores(graph, tracer.embedding(table, rowsByDistance(graph, tokens, rows), 2 * tokens));
}
