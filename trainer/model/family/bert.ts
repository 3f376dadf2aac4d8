/** BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), with Transformers' numbers: they differ in positions and head. */
import type { Node } from '../../graph/graph.ts';
import { paddingMask, selfAttention } from '../layer/self-attention.ts';
import type { ClassifierModel, Initial, ModuleSpec } from '../model-spec.ts';
import { linearSpec, parametersOf } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import { headSpec, type Labels } from './labels.ts';
import { blockModules, finishBlock, type PostNormBlock, type PostNormConfig, postNormBlock } from './post-norm-block.ts';
import {
  embeddingModules,
  embedText,
  firstToken,
  meanOfSeen,
  type TextConfig,
  type TextEmbedding,
  type TokenBatch,
  textEmbedding,
  tokensOf,
} from './text-encoder.ts';

/** The sizes and switches of one model, read from its config.json by `bert-config.ts`. */
export interface BertConfig extends Labels, TextConfig, PostNormConfig {
  readonly family: 'bert' | 'roberta';
  /** How the layer between encoder and classifier starts, where the file lacks it. */
  readonly freshDense: Initial | undefined;
  readonly blocks: number;
  readonly heads: number;
  readonly padId: number;
  readonly attentionDropout: number;
  readonly headDropout: number;
}

interface Parts {
  readonly config: BertConfig;
  readonly embedding: TextEmbedding;
  readonly blocks: readonly PostNormBlock[];
  /** Between encoder and classifier: BERT's pooler, or the first layer of RoBERTa's head. */
  readonly dense: ModuleSpec;
  readonly classifier: ModuleSpec;
}

/** Of the layer in the middle and of the classifier. */
const headNames = (family: BertConfig['family'], prefix: string): [string, string] =>
  family === 'bert' ? [`${prefix}pooler.dense`, 'classifier'] : ['classifier.dense', 'classifier.out_proj'];

export function bert(config: BertConfig): ClassifierModel {
  const { family, prefix, hiddenSize, labels, problem } = config;
  const inHead = { part: 'head', layer: -1 } as const;
  const [dense, classifier] = headNames(family, prefix);
  const parts: Parts = {
    config,
    embedding: textEmbedding(config),
    blocks: Array.from({ length: config.blocks }, (_, layer) => postNormBlock(config, prefix, layer, ['query', 'key', 'value'])),
    dense: headSpec(linearSpec(dense, inHead, hiddenSize, hiddenSize), config.freshDense),
    classifier: headSpec(linearSpec(classifier, inHead, labels.length, hiddenSize), config.fresh),
  };
  const modules = [...embeddingModules(parts.embedding), ...parts.blocks.flatMap(blockModules), parts.dense, parts.classifier];
  return {
    kind: 'classifier',
    family,
    blocks: config.blocks,
    hiddenSize,
    parameters: parametersOf(modules),
    modules,
    input: {
      kind: 'tokens',
      vocabularySize: config.vocabularySize,
      maxPositions: config.positions - config.firstPosition,
      padId: config.padId,
      tokenTypes: config.tokenTypes,
    },
    labels,
    problem,
    heads: [parts.classifier],
    logits: (tracer, batch) => logits(tracer, tokensOf(batch), parts),
    embedding: (tracer, batch) => meanOfSeen(tracer.graph, hidden(tracer, tokensOf(batch), parts), tokensOf(batch).seen),
  };
}

/** The last hidden states, [batch · tokens, hiddenSize]. */
function hidden(tracer: Tracer, inputs: TokenBatch, { config, embedding, blocks }: Parts): Node {
  const { graph } = tracer;
  const [batch] = inputs.ids.shape as [number, number];
  const mask = paddingMask(graph, inputs.seen);
  let x = embedText(tracer, inputs, embedding, config);
  for (const block of blocks) {
    x = graph.checkpointed(x, () => {
      const attended = selfAttention(tracer, { modules: block, heads: config.heads, x, batch, mask, dropout: config.attentionDropout });
      return finishBlock(tracer, config, block, x, attended);
    });
  }
  return x;
}

function logits(tracer: Tracer, inputs: TokenBatch, parts: Parts): Node {
  const { graph } = tracer;
  const { family, headDropout } = parts.config;
  const first = firstToken(graph, hidden(tracer, inputs, parts), inputs.ids.shape[0] as number);
  const pooled = graph.tanh(tracer.linear(parts.dense, family === 'roberta' ? tracer.dropout(first, headDropout) : first));
  return tracer.linear(parts.classifier, tracer.dropout(pooled, headDropout));
}
