/** DeBERTa-v2 and v3 (He et al. 2021 and 2023): attention by content and by relative position, matching Transformers' outputs. */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { allRows, relativeScores, usedRows } from '../../layer/attention/relative-attention.ts';
import { attend, byHead, paddingMask } from '../../layer/attention/self-attention.ts';
import { counting } from '../../layer/counting.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { type BiasedSpec, embeddingSpec, layerNormSpec, linearSpec, type ModuleSpec, withHeads } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { BertConfig } from './bert.ts';
import { type FirstTokenHead, firstTokenHead, headLogits, headModules } from './first-token-head.ts';
import { type BlockNames, blockModules, finishBlock, type PostNormBlock, postNormBlock } from './post-norm-block.ts';
import { textClassifier } from './text-classifier.ts';
import { embeddingModules, embedText, type TextEmbedding, type TokenBatch, textEmbedding } from './text-encoder.ts';

/** The sizes and switches of one model, read from its config.json by `deberta-config.ts`. */
export interface DebertaConfig extends Omit<BertConfig, 'family'> {
  readonly maxPositions: number;
  /** Half the rows of the table of relative positions. */
  readonly span: number;
  /** 0: each distance has its own row; otherwise the number of buckets, which widen up to `maxDistance`. */
  readonly buckets: number;
  readonly maxDistance: number;
  /** True if content attends to positions (c2p), and positions to content (p2c). */
  readonly c2p: boolean;
  readonly p2c: boolean;
  /** True if the layers that project content also project positions. */
  readonly sharedKeys: boolean;
  readonly normalizesPositions: boolean;
}

interface Block extends PostNormBlock {
  /** The key projection of positions, if positions have their own projections. */
  readonly positionKey: ModuleSpec | undefined;
  readonly positionQuery: ModuleSpec | undefined;
}

interface Parts {
  readonly config: DebertaConfig;
  readonly embedding: TextEmbedding;
  readonly blocks: readonly Block[];
  readonly relative: ModuleSpec;
  readonly relativeNorm: BiasedSpec | undefined;
  readonly head: FirstTokenHead;
}

export function deberta(config: DebertaConfig): ClassifierModel {
  const { prefix, hiddenSize } = config;
  const parts: Parts = {
    config,
    embedding: textEmbedding(config),
    relative: embeddingSpec(`${prefix}encoder.rel_embeddings`, 2 * config.span, hiddenSize),
    relativeNorm: config.normalizesPositions ? layerNormSpec(`${prefix}encoder.LayerNorm`, -1, hiddenSize) : undefined,
    blocks: config.blockNames.map((names, layer) => blockOf(config, names, layer)),
    head: firstTokenHead(config.head, hiddenSize, config),
  };
  const inBlocks = parts.blocks.flatMap(block => [...blockModules(block), ...[block.positionKey, block.positionQuery]]);
  const body = [
    ...embeddingModules(parts.embedding),
    ...[parts.relative, parts.relativeNorm, ...inBlocks].filter(module => module !== undefined),
  ];
  return textClassifier({
    family: 'deberta-v2',
    config,
    tokenTypes: config.tokenTypes,
    maxPositions: config.maxPositions,
    blocks: parts.blocks.length,
    body,
    head: headModules(parts.head),
    hidden: (tracer, inputs) => hidden(tracer, inputs, parts),
    logits: (tracer, states, { ids }) => headLogits(tracer, config.head, parts.head, states, ids.shape[0] as number),
  });
}

function blockOf(config: DebertaConfig, names: BlockNames, layer: number): Block {
  const { hiddenSize, heads, sharedKeys, prefix, c2p, p2c } = config;
  const own = (name: string, isUsed: boolean) =>
    sharedKeys || !isUsed
      ? undefined
      : withHeads(
          linearSpec(`${prefix}encoder.layer.${layer}.attention.self.${name}`, { part: 'attention', layer }, hiddenSize, hiddenSize),
          { rows: hiddenSize / heads },
        );
  return {
    ...postNormBlock(config, layer, names),
    positionKey: own('pos_key_proj', c2p),
    positionQuery: own('pos_query_proj', p2c),
  };
}

/** The last hidden states, [batch · tokens, hiddenSize]. */
function hidden(tracer: Tracer, inputs: TokenBatch, parts: Parts): Node {
  const { graph } = tracer;
  const { config } = parts;
  const [batch, tokens] = dimensions(inputs.ids.shape, 2);
  const mask = paddingMask(graph, inputs.seen);
  const rows = tracer.longest === undefined ? usedRows(tokens, config) : allRows(tracer.longest, config);
  const positions = positionStates(tracer, parts, rows.first, rows.count);
  let x = embedText(tracer, inputs, parts.embedding, config);
  for (const block of parts.blocks) {
    x = graph.checkpointed(x, () => {
      const { q, k, v, positionKeys, positionQueries } = project(tracer, { config, block, x, positions, batch });
      // One term for content, and one for each kind of position term.
      const scale = ((q.shape[3] as number) * (1 + Number(config.c2p) + Number(config.p2c))) ** -0.5;
      const scores = relativeScores(graph, { q, k, positionKeys, positionQueries, rows: rows.ofDistance, scale });
      return finishBlock(tracer, config, block, x, attend(tracer, { q, k, v, mask, scale, scores, dropout: config.attentionDropout }));
    });
  }
  return x;
}

/** The used rows of the table of relative positions, [count, hiddenSize]; shared by all blocks and samples. */
function positionStates(tracer: Tracer, { config, relative, relativeNorm }: Parts, first: number, count: number): Node {
  const isWhole = tracer.longest !== undefined;
  const rows = isWhole ? tracer.parameter(relative.weight) : tracer.embedding(relative, counting(tracer.graph, first, count), count);
  return relativeNorm ? tracer.layerNorm(relativeNorm, rows, config.epsilon, count) : rows;
}

interface ProjectParams {
  readonly config: DebertaConfig;
  readonly block: Block;
  readonly x: Node;
  readonly positions: Node;
  readonly batch: number;
}

interface Projected {
  /** Each [batch, heads, tokens, headDim]. */
  readonly q: Node;
  readonly k: Node;
  readonly v: Node;
  /** Each [positions, hiddenSize]. */
  readonly positionKeys: Node | undefined;
  readonly positionQueries: Node | undefined;
}

/** Projects tokens and positions. If the layers are shared, positions are appended to the tokens as rows, so that each layer runs once. */
function project(tracer: Tracer, { config, block, x, positions, batch }: ProjectParams): Projected {
  const { graph } = tracer;
  const { c2p, p2c, sharedKeys, heads } = config;
  const dropped = tracer.dropout(positions, config.dropout);
  const [tokens, count] = [x.shape[0] as number, positions.shape[0] as number];
  const both = sharedKeys && (c2p || p2c) ? graph.concat([x, dropped], 0) : x;
  const split = (y: Node) => byHead(tracer, y, { batch, heads });
  const run = (module: ModuleSpec, own: ModuleSpec | undefined, isUsed: boolean): [Node, Node | undefined] => {
    if (!sharedKeys || !isUsed) return [tracer.linear(module, x), own && tracer.linear(own, dropped, count)];
    const y = tracer.linear(module, both, count);
    return [graph.sliceAxis(y, 0, 0, tokens), graph.sliceAxis(y, 0, tokens, count)];
  };
  const [q, positionQueries] = run(block.q, block.positionQuery, p2c);
  const [k, positionKeys] = run(block.k, block.positionKey, c2p);
  return { q: split(q), k: split(k), v: split(tracer.linear(block.v, x)), positionKeys, positionQueries };
}
