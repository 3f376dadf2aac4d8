/** Global response normalization (Woo et al. 2023, ConvNeXt V2): channels compete by their norm over the whole image. */
import type { Graph, Node } from '../../graph/graph.ts';

interface ResponseNormParams {
  /** [batch, positions, channels]. */
  readonly x: Node;
  /** Both [channels]. */
  readonly scale: Node;
  readonly shift: Node;
}

const EPSILON = 1e-6;
/** Smaller than the norm of any channel that is not all zeros. A channel of zeros has no direction to grow in, so its gradient is 0. */
const SMALLEST = 1e-30;

/**
 * y = scale · x · N + shift, with G = ‖x‖ over the positions of an image and N = G / (mean of G over channels + ε).
 * With h = dy·scale and dN = Σ h·x: dx = h·N + x/G · (dN − mean(dN·N)) / (mean(G) + ε), with both means over channels.
 */
export function responseNorm(graph: Graph, { x, scale, shift }: ResponseNormParams): Node {
  const strength = graph.sqrt(graph.sum(graph.square(x), [1], true));
  const inverse = graph.reciprocal(graph.add(graph.mean(strength, [-1], true), EPSILON));
  const share = graph.mul(strength, inverse);
  const normal = graph.mul(x, share);
  const y = graph.add(graph.mul(normal, scale), shift);
  y.custom = {
    inputs: [x, scale, shift],
    rule: ({ dy, wants, value }) => {
      const own = value(share);
      const gradX = () => {
        const h = graph.mul(dy, scale);
        const gradShare = graph.sum(graph.mul(h, value(x)), [1], true);
        const centered = graph.sub(gradShare, graph.mean(graph.mul(gradShare, own), [-1], true));
        const gradStrength = graph.div(graph.mul(centered, value(inverse)), graph.maximum(value(strength), SMALLEST));
        return graph.add(graph.mul(h, own), graph.mul(value(x), gradStrength));
      };
      const gradScale = wants(1) ? graph.sum(graph.mul(dy, value(normal)), [0, 1]) : undefined;
      return [wants(0) ? gradX() : undefined, gradScale, wants(2) ? graph.sum(dy, [0, 1]) : undefined];
    },
  };
  return y;
}
