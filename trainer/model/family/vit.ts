/** Vision transformers: ViT (Dosovitskiy et al. 2021) and DeiT with its distillation token (Touvron et al. 2021). */
import type { Node } from '../../graph/graph.ts';
import { type Activation, activations } from '../layer/activation.ts';
import { attend, byHead } from '../layer/self-attention.ts';
import type { BiasedSpec, ClassifierModel, ConvSpec, ModuleSpec } from '../model-spec.ts';
import { layerNormSpec, linearSpec, moduleSpec, parameterSpec, parametersOf } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import { pixelsOf } from './image-input.ts';
import { headSpec, type Labels } from './labels.ts';
import type { VitNames } from './vit-names.ts';

/** The sizes and switches of one model. */
export interface VitConfig extends Labels {
  readonly family: 'vit' | 'deit';
  readonly names: VitNames;
  readonly hasDistillation: boolean;
  /** The distillation token has a head of its own, and the answer is the mean of both. */
  readonly hasTeacherHead: boolean;
  /** Pixels, height and width. */
  readonly image: readonly [number, number];
  readonly patch: readonly [number, number];
  readonly channels: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly blocks: number;
  readonly heads: number;
  readonly qkvBias: boolean;
  readonly epsilon: number;
  readonly activation: string;
  readonly dropout: number;
  readonly attentionDropout: number;
}

interface Block {
  /** Queries, keys and values, from three layers or from one. */
  readonly qkv: readonly ModuleSpec[];
  readonly o: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
  readonly inputNorm: BiasedSpec;
  readonly middleNorm: BiasedSpec;
}

interface Parts {
  readonly config: VitConfig;
  readonly patches: ConvSpec;
  /** Class token, and distillation token where there is one. */
  readonly tokens: readonly ModuleSpec[];
  readonly positions: ModuleSpec;
  readonly blocks: readonly Block[];
  readonly finalNorm: BiasedSpec;
  /** One for each of the first tokens that has one. */
  readonly heads: readonly ModuleSpec[];
}

export function vit(config: VitConfig): ClassifierModel {
  const { hiddenSize, names, labels, problem, image, patch, channels } = config;
  const tokenNames = config.hasDistillation ? [names.classToken, names.distillationToken] : [names.classToken];
  const count = Math.floor(image[0] / patch[0]) * Math.floor(image[1] / patch[1]) + tokenNames.length;
  const headNames = config.hasTeacherHead ? names.heads : names.heads.slice(0, 1);
  const head = (name: string) => headSpec(linearSpec(name, { part: 'head', layer: -1 }, labels.length, hiddenSize), config.fresh);
  const parts: Parts = {
    config,
    patches: patchSpec(config),
    tokens: tokenNames.map(name => parameterSpec(name, [1, 1, hiddenSize])),
    positions: parameterSpec(names.positions, [1, count, hiddenSize]),
    blocks: Array.from({ length: config.blocks }, (_, layer) => blockModules(config, layer)),
    finalNorm: layerNormSpec(names.finalNorm, -1, hiddenSize),
    heads: headNames.map(head),
  };
  const inBlocks = parts.blocks.flatMap(b => [b.inputNorm, ...b.qkv, b.o, b.middleNorm, b.up, b.down]);
  const modules = [parts.patches, ...parts.tokens, parts.positions, ...inBlocks, parts.finalNorm, ...parts.heads];
  return {
    kind: 'classifier',
    family: config.family,
    blocks: config.blocks,
    hiddenSize,
    parameters: parametersOf(modules),
    modules,
    input: { kind: 'image', height: image[0], width: image[1], channels, resizable: false },
    labels,
    problem,
    heads: parts.heads,
    logits: (tracer, batch) => logits(tracer, pixelsOf(batch), parts),
    embedding: (tracer, batch) => firstStates(tracer, pixelsOf(batch), parts, 1)[0] as Node,
  };
}

/** A convolution that cuts the image into patches: its window is its stride. */
function patchSpec({ names, hiddenSize, channels, patch }: VitConfig): ConvSpec {
  return {
    ...moduleSpec(names.patches, 'conv', { part: 'embedding', layer: -1 }, [hiddenSize, channels, ...patch], true),
    kind: 'conv',
    window: { strides: patch, padding: [0, 0, 0, 0], dilations: [1, 1], groups: 1 },
  };
}

function blockModules({ names, hiddenSize, intermediateSize, qkvBias }: VitConfig, layer: number): Block {
  const { qkv, o, up, down, inputNorm, middleNorm } = names.block(layer);
  const attention = { part: 'attention', layer } as const;
  const mlp = { part: 'mlp', layer } as const;
  return {
    qkv:
      typeof qkv === 'string'
        ? [linearSpec(qkv, attention, 3 * hiddenSize, hiddenSize, qkvBias)]
        : qkv.map(name => linearSpec(name, attention, hiddenSize, hiddenSize, qkvBias)),
    o: linearSpec(o, attention, hiddenSize, hiddenSize),
    up: linearSpec(up, mlp, intermediateSize, hiddenSize),
    down: linearSpec(down, mlp, hiddenSize, intermediateSize),
    inputNorm: layerNormSpec(inputNorm, layer, hiddenSize),
    middleNorm: layerNormSpec(middleNorm, layer, hiddenSize),
  };
}

/** Patches behind the first tokens, each with its position: [batch, tokens, hiddenSize]. */
function embed(tracer: Tracer, pixels: Node, { config, patches, tokens, positions }: Parts): Node {
  const { graph } = tracer;
  const cut = tracer.conv(patches, pixels);
  const [batch, down, across, width] = cut.shape as [number, number, number, number];
  const firsts = tokens.map(token => graph.broadcast(tracer.parameter(token.weight), [batch, 1, width]));
  const all = graph.concat([...firsts, graph.reshape(cut, [batch, down * across, width])], 1);
  return tracer.dropout(graph.add(all, tracer.parameter(positions.weight)), config.dropout);
}

/** The final states of the first `count` tokens, each [batch, hiddenSize]; the last norm is taken of no others. */
function firstStates(tracer: Tracer, pixels: Node, parts: Parts, count: number): Node[] {
  const { graph } = tracer;
  const { config } = parts;
  const embedded = embed(tracer, pixels, parts);
  const [batch, tokens, width] = embedded.shape as [number, number, number];
  let x = graph.reshape(embedded, [batch * tokens, width]);
  for (const block of parts.blocks) x = graph.checkpointed(x, () => runBlock(tracer, config, block, x, batch));
  const asked = graph.sliceAxis(graph.reshape(x, [batch, tokens, width]), 1, 0, count);
  const normal = graph.reshape(tracer.layerNorm(parts.finalNorm, graph.reshape(asked, [batch * count, width]), config.epsilon), [
    batch,
    count,
    width,
  ]);
  return Array.from({ length: count }, (_, i) => graph.reshape(graph.sliceAxis(normal, 1, i, 1), [batch, width]));
}

/** x [batch · tokens, hiddenSize] → the same. */
function runBlock(tracer: Tracer, config: VitConfig, block: Block, x: Node, batch: number): Node {
  const { graph } = tracer;
  const normal = tracer.layerNorm(block.inputNorm, x, config.epsilon);
  const [q, k, v] = heads(tracer, config, block, normal, batch) as [Node, Node, Node];
  const scale = (q.shape[3] as number) ** -0.5;
  const attended = attend(tracer, { q, k, v, scale, mask: { kind: 'all' }, dropout: config.attentionDropout });
  const middle = graph.add(x, tracer.dropout(tracer.linear(block.o, attended), config.dropout));
  const activation = activations[config.activation] as Activation;
  const up = activation(graph, tracer.linear(block.up, tracer.layerNorm(block.middleNorm, middle, config.epsilon)));
  return graph.add(middle, tracer.dropout(tracer.linear(block.down, up), config.dropout));
}

function heads(tracer: Tracer, { heads: count, hiddenSize }: VitConfig, { qkv }: Block, x: Node, batch: number): Node[] {
  const { graph } = tracer;
  const split = (y: Node) => byHead(tracer, y, { batch, heads: count });
  const [first, ...others] = qkv.map(module => tracer.linear(module, x)) as [Node, ...Node[]];
  if (others.length > 0) return [first, ...others].map(split);
  return [0, 1, 2].map(i => split(graph.sliceAxis(first, 1, i * hiddenSize, hiddenSize)));
}

function logits(tracer: Tracer, pixels: Node, parts: Parts): Node {
  const { graph } = tracer;
  const states = firstStates(tracer, pixels, parts, parts.heads.length);
  const answers = parts.heads.map((head, i) => tracer.linear(head, states[i] as Node));
  const sum = answers.reduce((a, b) => graph.add(a, b));
  return graph.mul(sum, 1 / answers.length);
}
