/** RMS and layer normalization over the last axis, with gradients that take the fewest passes over memory. */
import type { Graph, Node } from '../../graph/graph.ts';

interface NormParams {
  readonly x: Node;
  /** Scale of each feature, [features]. */
  readonly scale: Node;
  readonly epsilon: number;
}

/**
 * y = x / √(mean(x²) + ε) · scale (Zhang & Sennrich 2019); the scale is optional.
 * With x̂ = x·inv and h = dy·scale: dx = inv · (h − x̂ · mean(h·x̂)); dscale = Σ dy·x̂.
 */
export function rmsNorm(graph: Graph, { x, scale, epsilon }: Omit<NormParams, 'scale'> & Partial<NormParams>): Node {
  const inverse = graph.rsqrt(graph.add(graph.mean(graph.square(x), [-1], true), epsilon));
  const normal = graph.mul(x, inverse);
  const y = scale ? graph.mul(normal, scale) : normal;
  y.custom = {
    inputs: scale ? [x, scale] : [x],
    rule: ({ dy, wants, value }) => {
      const hat = value(normal);
      const gradX = () => {
        const h = scale ? graph.mul(dy, scale) : dy;
        return graph.mul(graph.sub(h, graph.mul(hat, graph.mean(graph.mul(h, hat), [-1], true))), value(inverse));
      };
      const gradScale = scale && wants(1) ? sumRows(graph, graph.mul(dy, hat)) : undefined;
      return [wants(0) ? gradX() : undefined, ...(scale ? [gradScale] : [])];
    },
  };
  return y;
}

/**
 * y = (x − mean) / √(variance + ε) · scale + shift (Ba et al. 2016); the shift is optional.
 * With x̂ the normalized x and h = dy·scale: dx = inv · (h − mean(h) − x̂ · mean(h·x̂)).
 */
export function layerNorm(graph: Graph, { x, scale, shift, epsilon }: NormParams & { readonly shift: Node | undefined }): Node {
  const centered = graph.sub(x, graph.mean(x, [-1], true));
  const inverse = graph.rsqrt(graph.add(graph.mean(graph.square(centered), [-1], true), epsilon));
  const normal = graph.mul(centered, inverse);
  const scaled = graph.mul(normal, scale);
  const y = shift ? graph.add(scaled, shift) : scaled;
  y.custom = {
    inputs: shift ? [x, scale, shift] : [x, scale],
    rule: ({ dy, wants, value }) => {
      const hat = value(normal);
      const gradX = () => {
        const h = graph.mul(dy, scale);
        const straight = graph.sub(h, graph.mean(h, [-1], true));
        return graph.mul(graph.sub(straight, graph.mul(hat, graph.mean(graph.mul(h, hat), [-1], true))), value(inverse));
      };
      const gradScale = wants(1) ? sumRows(graph, graph.mul(dy, hat)) : undefined;
      const gradShift = shift && wants(2) ? sumRows(graph, dy) : undefined;
      return [wants(0) ? gradX() : undefined, gradScale, ...(shift ? [gradShift] : [])];
    },
  };
  return y;
}

/** Sums over all axes but the last. */
export const sumRows = (graph: Graph, x: Node): Node =>
  graph.sum(
    x,
    x.shape.slice(0, -1).map((_, i) => i),
  );
