/** Batch normalization over the last axis (Ioffe & Szegedy 2015), with running statistics or with those of the batch. */
import type { Graph, Node } from '../../graph/graph.ts';
import { sumRows } from './norm.ts';

interface BatchNormParams {
  /** [batch, height, width, channels]. */
  readonly x: Node;
  /** Both [channels]. */
  readonly scale: Node;
  readonly shift: Node;
  readonly epsilon: number;
}

/**
 * y = (x − mean) / √(variance + ε) · scale + shift, with mean and variance [channels] given. It is affine in x, so dx = dy·slope needs no
 * activation; dscale = Σ dy·(x − mean)·inv.
 */
export function frozenBatchNorm(
  graph: Graph,
  { x, scale, shift, epsilon, mean, variance }: BatchNormParams & { readonly mean: Node; readonly variance: Node },
): Node {
  const inverse = graph.rsqrt(graph.add(variance, epsilon));
  const slope = graph.mul(scale, inverse);
  const y = graph.add(graph.mul(x, slope), graph.sub(shift, graph.mul(mean, slope)));
  y.custom = {
    inputs: [x, scale, shift],
    rule: ({ dy, wants, value }) => {
      const total = wants(1) || wants(2) ? sumRows(graph, dy) : undefined;
      const towardsScale = (sum: Node) => {
        const weighted = sumRows(graph, graph.mul(dy, value(x)));
        return graph.mul(graph.sub(weighted, graph.mul(sum, mean)), value(inverse));
      };
      const gradScale = wants(1) && total ? towardsScale(total) : undefined;
      return [wants(0) ? graph.mul(dy, value(slope)) : undefined, gradScale, wants(2) ? total : undefined];
    },
  };
  return y;
}

/**
 * Normalizes by the statistics of the whole batch, across all its parts. With x̂ the normalized x, h = dy·scale and means over all axes but
 * the channels: dx = inv · (h − mean(h) − x̂ · mean(h·x̂)).
 * @returns y, and the values for the running statistics: the mean and the unbiased variance, both [channels]
 */
export function batchNorm(graph: Graph, { x, scale, shift, epsilon }: BatchNormParams): { y: Node; mean: Node; variance: Node } {
  const axes = x.shape.slice(0, -1).map((_, i) => i);
  const count = graph.parts.count * axes.reduce((n, axis) => n * (x.shape[axis] as number), 1);
  const meanOf = (values: Node): Node => keep(graph.mul(graph.totalOf(graph.sum(values, axes)), 1 / count));
  const mean = meanOf(x);
  const centered = graph.sub(x, mean);
  const spread = meanOf(graph.square(centered));
  const inverse = keep(graph.rsqrt(graph.add(spread, epsilon)));
  const normal = graph.mul(centered, inverse);
  const y = graph.add(graph.mul(normal, scale), shift);
  y.custom = {
    inputs: [x, scale, shift],
    rule: ({ dy, wants, value }) => {
      const hat = value(normal);
      const gradScale = sumRows(graph, graph.mul(dy, hat));
      const gradShift = sumRows(graph, dy);
      // mean(h) and mean(h·x̂) are the two sums above, scaled.
      const towardsX = () => {
        const along = graph.mul(hat, graph.mul(graph.totalOf(gradScale), 1 / count));
        const straight = graph.sub(graph.sub(dy, graph.mul(graph.totalOf(gradShift), 1 / count)), along);
        return graph.mul(straight, graph.mul(scale, value(inverse)));
      };
      return [wants(0) ? towardsX() : undefined, wants(1) ? gradScale : undefined, wants(2) ? gradShift : undefined];
    },
  };
  return { y, mean, variance: graph.mul(spread, count / Math.max(1, count - 1)) };
}

/** Keeps a statistic for the backward pass: one value per channel costs almost no memory, and computing it again takes a pass over x. */
function keep(statistic: Node): Node {
  statistic.kept = true;
  return statistic;
}
