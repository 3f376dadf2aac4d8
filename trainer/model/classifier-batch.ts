/** The feeds of one batch of a classifier. */
import type { Graph } from '../graph/graph.ts';
import type { ClassifierBatch, ClassifierInput } from './model-spec.ts';

/** The static shape of a batch; the size of images comes from the model. */
export interface ClassifierShape {
  readonly batch: number;
  /** The length of the texts; unused for images. */
  readonly tokens: number;
}

/**
 * Declares `pixels` [batch, height, width, channels]; or `ids` int32, `seen` and (if the model distinguishes segments) `types` int32, each
 * [batch, tokens].
 */
export function declareClassifierBatch(graph: Graph, input: ClassifierInput, { batch, tokens }: ClassifierShape): ClassifierBatch {
  if (input.kind === 'image') return { kind: 'image', pixels: graph.feed('pixels', [batch, input.height, input.width, input.channels]) };
  const common = { kind: 'tokens', ids: graph.feed('ids', [batch, tokens], 'int32'), seen: graph.feed('seen', [batch, tokens]) } as const;
  return input.tokenTypes > 1 ? { ...common, types: graph.feed('types', [batch, tokens], 'int32') } : common;
}
