/** BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), with Transformers' numbers: they differ in positions and head. */
import type { Node } from '../../graph/graph.ts';
import { type Activation, activations } from '../layer/activation.ts';
import { paddingMask, selfAttention } from '../layer/self-attention.ts';
import type { BiasedSpec, ClassifierModel, ModuleSpec } from '../model-spec.ts';
import { embeddingSpec, layerNormSpec, linearSpec, parametersOf } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import { headSpec, type Labels } from './labels.ts';
import { counting, firstToken, meanOfSeen, type TokenBatch, tokensOf } from './text-encoder.ts';

/** The sizes and switches of one model, read from its config.json by `bert-config.ts`. */
export interface BertConfig extends Labels {
  readonly family: 'bert' | 'roberta';
  readonly prefix: string;
  readonly hasPooler: boolean;
  readonly initialStd: number;
  readonly headSeed: number;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly blocks: number;
  readonly heads: number;
  /** Rows of the position table, and the row of a sequence's first token. */
  readonly positions: number;
  readonly firstPosition: number;
  readonly tokenTypes: number;
  readonly padId: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly headDropout: number;
}

interface Block {
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
  readonly o: ModuleSpec;
  readonly attentionNorm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
  readonly outputNorm: BiasedSpec;
}

interface Parts {
  readonly config: BertConfig;
  readonly words: ModuleSpec;
  readonly positions: ModuleSpec;
  readonly types: ModuleSpec | undefined;
  readonly norm: BiasedSpec;
  readonly blocks: readonly Block[];
  /** Between encoder and classifier: BERT's pooler, or the first layer of RoBERTa's head. */
  readonly dense: ModuleSpec;
  readonly classifier: ModuleSpec;
}

export function bert(config: BertConfig): ClassifierModel {
  const { hiddenSize, labels, problem, fresh, family } = config;
  const at = `${config.prefix}embeddings`;
  const inHead = { part: 'head', layer: -1 } as const;
  const denseName = family === 'bert' ? `${config.prefix}pooler.dense` : 'classifier.dense';
  const denseFresh = { kind: 'normal', std: config.initialStd, seed: config.headSeed } as const;
  const parts: Parts = {
    config,
    words: embeddingSpec(`${at}.word_embeddings`, config.vocabularySize, hiddenSize),
    positions: embeddingSpec(`${at}.position_embeddings`, config.positions, hiddenSize),
    types: config.tokenTypes > 0 ? embeddingSpec(`${at}.token_type_embeddings`, config.tokenTypes, hiddenSize) : undefined,
    norm: layerNormSpec(`${at}.LayerNorm`, -1, hiddenSize),
    blocks: Array.from({ length: config.blocks }, (_, layer) => blockModules(config, layer)),
    dense: headSpec(linearSpec(denseName, inHead, hiddenSize, hiddenSize), config.hasPooler ? undefined : denseFresh),
    classifier: headSpec(linearSpec(family === 'bert' ? 'classifier' : 'classifier.out_proj', inHead, labels.length, hiddenSize), fresh),
  };
  const { words, positions, types, norm, blocks, dense, classifier } = parts;
  const inBlocks = blocks.flatMap(b => [b.q, b.k, b.v, b.o, b.attentionNorm, b.up, b.down, b.outputNorm]);
  const modules = [words, positions, ...(types ? [types] : []), norm, ...inBlocks, dense, classifier];
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
    heads: [classifier],
    logits: (tracer, batch) => logits(tracer, tokensOf(batch), parts),
    embedding: (tracer, batch) => meanOfSeen(tracer.graph, hidden(tracer, tokensOf(batch), parts), tokensOf(batch).seen),
  };
}

function blockModules({ prefix, hiddenSize, intermediateSize }: BertConfig, layer: number): Block {
  const at = `${prefix}encoder.layer.${layer}`;
  const attends = (name: string) => linearSpec(`${at}.attention.${name}`, { part: 'attention', layer }, hiddenSize, hiddenSize);
  const mlp = { part: 'mlp', layer } as const;
  return {
    q: attends('self.query'),
    k: attends('self.key'),
    v: attends('self.value'),
    o: attends('output.dense'),
    attentionNorm: layerNormSpec(`${at}.attention.output.LayerNorm`, layer, hiddenSize),
    up: linearSpec(`${at}.intermediate.dense`, mlp, intermediateSize, hiddenSize),
    down: linearSpec(`${at}.output.dense`, mlp, hiddenSize, intermediateSize),
    outputNorm: layerNormSpec(`${at}.output.LayerNorm`, layer, hiddenSize),
  };
}

/** The last hidden states, [batch · tokens, hiddenSize]. */
function hidden(tracer: Tracer, inputs: TokenBatch, parts: Parts): Node {
  const { graph } = tracer;
  const { config } = parts;
  const [batch] = inputs.ids.shape as [number, number];
  const mask = paddingMask(graph, inputs.seen);
  const activation = activations[config.activation] as Activation;
  let x = tracer.dropout(tracer.layerNorm(parts.norm, embed(tracer, inputs, parts), config.epsilon), config.dropout);
  for (const block of parts.blocks) {
    x = graph.checkpointed(x, () => {
      const attended = selfAttention(tracer, { modules: block, heads: config.heads, x, batch, mask, dropout: config.attentionDropout });
      const out = tracer.dropout(tracer.linear(block.o, attended), config.dropout);
      const middle = tracer.layerNorm(block.attentionNorm, graph.add(x, out), config.epsilon);
      const mlp = tracer.linear(block.down, activation(graph, tracer.linear(block.up, middle)));
      return tracer.layerNorm(block.outputNorm, graph.add(middle, tracer.dropout(mlp, config.dropout)), config.epsilon);
    });
  }
  return x;
}

/** Word, segment and position, added up: [batch · tokens, hiddenSize]. */
function embed(tracer: Tracer, { ids, types }: TokenBatch, { config, words, positions, types: typeTable }: Parts): Node {
  const { graph } = tracer;
  const [batch, tokens] = ids.shape as [number, number];
  const word = tracer.embedding(words, graph.reshape(ids, [batch * tokens]));
  const typed = typeTable ? graph.add(word, typesOf(tracer, typeTable, types)) : word;
  const position = tracer.embedding(positions, counting(graph, config.firstPosition, tokens), tokens);
  const sum = graph.add(graph.reshape(typed, [batch, tokens, config.hiddenSize]), position);
  return graph.reshape(sum, [batch * tokens, config.hiddenSize]);
}

/** Without types every token is of the first: one row, [1, hiddenSize]. */
function typesOf(tracer: Tracer, table: ModuleSpec, types: Node | undefined): Node {
  const { graph } = tracer;
  if (!types) return tracer.embedding(table, counting(graph, 0, 1), 1);
  const [batch, tokens] = types.shape as [number, number];
  return tracer.embedding(table, graph.reshape(types, [batch * tokens]));
}

function logits(tracer: Tracer, inputs: TokenBatch, parts: Parts): Node {
  const { config } = parts;
  const { graph } = tracer;
  const first = firstToken(graph, hidden(tracer, inputs, parts), inputs.ids.shape[0] as number);
  const pooled = graph.tanh(tracer.linear(parts.dense, config.family === 'roberta' ? tracer.dropout(first, config.headDropout) : first));
  return tracer.linear(parts.classifier, tracer.dropout(pooled, config.headDropout));
}
