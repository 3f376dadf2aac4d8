/** A depthwise convolution over the last few tokens. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';

export interface CausalConvolutionParams {
  /** [batch, tokens, channels]. */
  readonly x: Node;
  /** [channels, 1, width]; the last entry belongs to the current token. */
  readonly weight: Node;
  /** int32 [batch, tokens]: the position of each token in its text, if several texts follow each other. */
  readonly positions: Node | undefined;
  /** The tokens before x, [batch, width − 1, channels]; zeros by default. */
  readonly before: Node | undefined;
}

/** y_t = Σ_s w[width − 1 − s] ∘ x₍t₋s₎ over the tokens of the same text: [batch, tokens, channels]. */
export function causalConvolution(graph: Graph, { x, weight, positions, before }: CausalConvolutionParams): Node {
  const [batch, tokens, channels] = dimensions(x.shape, 3);
  const [, , width] = dimensions(weight.shape, 3);
  const all = before ? graph.concat([before, x], 1) : graph.pad(x, [0, width - 1, 0], [0, 0, 0]);
  const factors = graph.transpose(graph.reshape(weight, [channels, width]), [1, 0]);
  return Array.from({ length: width }, (_, i) => {
    const moved = graph.mul(graph.sliceAxis(all, 1, i, tokens), graph.reshape(graph.sliceAxis(factors, 0, i, 1), [channels]));
    const back = width - 1 - i;
    if (!positions || back === 0) return moved;
    return graph.mul(moved, graph.cast(graph.greaterEqual(graph.reshape(positions, [batch, tokens, 1]), back), 'float32'));
  }).reduce((sum, term) => graph.add(sum, term));
}

/**
 * The last tokens of each text, which the next convolution reads, [batch, width − 1, channels].
 * @param params.counts int32 [batch]: number of tokens of x that belong to the text
 */
export function lastTokens(graph: Graph, { x, before, counts }: { readonly x: Node; readonly before: Node; readonly counts: Node }): Node {
  const [batch, tokens, channels] = dimensions(x.shape, 3);
  const count = before.shape[1] as number;
  const all = graph.reshape(graph.concat([before, x], 1), [batch * (count + tokens), channels]);
  const places = graph.constant(
    Int32Array.from({ length: batch * count }, (_, i) => Math.floor(i / count) * (count + tokens) + (i % count)),
    [batch, count],
    'int32',
  );
  return graph.gather(all, graph.add(places, graph.reshape(counts, [batch, 1])));
}
