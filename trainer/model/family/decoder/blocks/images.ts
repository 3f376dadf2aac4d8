/** Vectors of images in the states of a decoder. */

import type { Graph, Node } from '../../../../graph/graph.ts';
import { dimensions } from '../../../../graph/types.ts';
import { lastOf } from '../../../../narrow.ts';
import type { AttentionMask } from '../../../layer/attention/attention.ts';
import { seenUpTo } from '../../../layer/attention/seen-mask.ts';
import type { ImageInputs, TokenInputs } from '../../../model-spec.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** The vectors of one set [rows, hidden], and for each row whether it has one [rows, 1]; undefined if there is no such set. */
function setOf(graph: Graph, { vectors, isImage }: ImageInputs, set: number): { readonly own: Node; readonly has: Node } | undefined {
  if (!vectors || !isImage) return undefined;
  const [sets, batch, tokens, width] = dimensions(vectors.shape, 4);
  if (set >= sets) return undefined;
  const own = graph.reshape(graph.sliceAxis(vectors, 0, set, 1), [batch * tokens, width]);
  return { own, has: graph.reshape(isImage, [batch * tokens, 1]) };
}

/** Embeddings x [rows, hidden] with the vectors of images in place of those of image tokens. */
export function withImages(graph: Graph, x: Node, images: ImageInputs | undefined): Node {
  const found = images && setOf(graph, images, 0);
  return found ? graph.select(found.has, found.own, x) : x;
}

/**
 * The output of a block, x [rows, hidden], with the set of vectors that belongs to this block added at image tokens (DeepStack, Meng et al.
 * 2024).
 */
export function withDeepstack(graph: Graph, x: Node, images: ImageInputs | undefined, layer: number): Node {
  const found = images && setOf(graph, images, layer + 1);
  return found ? graph.add(x, graph.select(found.has, found.own, graph.scalar(0))) : x;
}

/** The mask for models whose images are read in both directions: a token of an image also sees the rest of the image. */
export function withinImages(graph: Graph, { mask, images, cache }: Pick<TokenInputs, 'mask' | 'images' | 'cache'>): AttentionMask {
  const ends = images?.ends;
  if (!ends || mask.kind === 'all') return mask;
  // The places of a cache are positions, up to which a token sees every key.
  if (cache && mask.kind === 'bias') return { kind: 'bias', bias: seenUpTo(graph, ends, lastOf(mask.bias.shape)), causal: false };
  const bias = seenUpTo(graph, ends, ends.shape[1] as number);
  return { kind: 'bias', bias: mask.kind === 'bias' ? graph.add(mask.bias, bias) : bias, causal: false };
}

/** Tokens int32 [rows] with that of padding in place of those that stand for images, sounds and videos. */
export function withoutPlaceholders(graph: Graph, ids: Node, { placeholders = [], padId = 0 }: DecoderConfig): Node {
  const token = (id: number): Node => graph.constant(Int32Array.of(id), [1], 'int32');
  return placeholders.reduce((kept, each) => graph.select(graph.equal(ids, token(each)), token(padId), kept), ids);
}
