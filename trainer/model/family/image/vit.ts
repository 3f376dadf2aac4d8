/**
 * Vision transformers: ViT (Dosovitskiy et al. 2021), DeiT with its distillation token (Touvron et al. 2021), DINOv2 (Oquab et al. 2023)
 * and DINOv3 (Siméoni et al. 2025), and the vision tower of SigLIP (Zhai et al. 2023). They differ in the tokens before the patches, in how
 * patches get their positions, and in what the head reads.
 */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { linearSpec, type ModuleSpec, parametersOf } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { pixelsOf } from './image-input.ts';
import { firstTokens, lastNorm, type Tower, type TowerConfig, towerOf, towerStream } from './tower.ts';
import type { VitNames } from './vit-names.ts';

/** The sizes and switches of one model. */
export interface VitConfig extends Labels, TowerConfig {
  readonly family: string;
  readonly names: VitNames;
  /** True if it has positions for images of any size. */
  readonly isResizable: boolean;
  readonly pooling: Pooling;
}

/**
 * first: each first token that has a head, averaging their logits; first-and-mean: the first token's state and the mean of the patches';
 * mean: the mean of all.
 */
export type Pooling = 'first' | 'first-and-mean' | 'mean';

export function vit(config: VitConfig): ClassifierModel {
  const { hiddenSize, names, labels, problem, image, channels, pooling } = config;
  const read = pooling === 'first-and-mean' ? 2 * hiddenSize : hiddenSize;
  const heads = names.heads.map(name => headSpec(linearSpec(name, { part: 'head', layer: -1 }, labels.length, read), config.fresh));
  const tower = towerOf(config);
  const modules = [...tower.modules, ...heads];
  return {
    kind: 'classifier',
    family: config.family,
    blocks: config.blocks,
    hiddenSize,
    parameters: parametersOf(modules),
    modules,
    input: { kind: 'image', height: image[0], width: image[1], channels, resizable: config.isResizable },
    labels,
    problem,
    heads,
    logits: (tracer, batch) => logits(tracer, pixelsOf(batch), { tower, heads, pooling }),
  };
}

/** The final states of the first `count` tokens, each [batch, hiddenSize]; the last norm is applied only to these. */
function firstStates(tracer: Tracer, x: Node, tower: Tower, count: number): Node[] {
  const { graph } = tracer;
  const [batch, , width] = dimensions(x.shape, 3);
  const states = lastNorm(tracer, graph.sliceAxis(x, 1, 0, count), tower);
  return Array.from({ length: count }, (_, i) => graph.reshape(graph.sliceAxis(states, 1, i, 1), [batch, width]));
}

interface Parts {
  readonly tower: Tower;
  readonly heads: readonly ModuleSpec[];
  readonly pooling: Pooling;
}

function logits(tracer: Tracer, pixels: Node, { tower, heads, pooling }: Parts): Node {
  const { graph } = tracer;
  const x = towerStream(tracer, pixels, tower);
  if (pooling === 'first') {
    const states = firstStates(tracer, x, tower, heads.length);
    const answers = heads.map((head, i) => tracer.linear(head, elementAt(states, i)));
    return graph.mul(
      answers.reduce((a, b) => graph.add(a, b)),
      1 / answers.length,
    );
  }
  const head = elementAt(heads, 0);
  const states = lastNorm(tracer, x, tower);
  if (pooling === 'mean') return tracer.linear(head, graph.mean(states, [1]));
  const [batch, tokens, width] = dimensions(states.shape, 3);
  const first = graph.reshape(graph.sliceAxis(states, 1, 0, 1), [batch, width]);
  const firsts = firstTokens(tower.config);
  return tracer.linear(head, graph.concat([first, graph.mean(graph.sliceAxis(states, 1, firsts, tokens - firsts), [1])], 1));
}
