/**
 * Rotary positions in two dimensions (DINOv3, Siméoni et al. 2025): half of the pairs rotate by a patch's row, the other half by its
 * column.
 */
import type { Graph, Node } from '../../../graph/graph.ts';
import type { Tracer } from '../../tracer.ts';
import type { GridSize } from './resize-grid.ts';
import type { RotaryTables } from './rotary.ts';

export interface GridRotaryParams {
  readonly grid: GridSize;
  readonly headDim: number;
  readonly theta: number;
  /** Number of tokens before the patches; they do not rotate. */
  readonly firsts: number;
  /** Random changes to the positions of all patches during training; each is optional. */
  readonly augment: GridAugment;
}

export interface GridAugment {
  /** Both coordinates are shifted by up to this value. */
  readonly shift: number | undefined;
  /** Each coordinate is stretched by a factor between 1 / jitter and jitter. */
  readonly jitter: number | undefined;
  /** Both coordinates are stretched by the same factor between 1 / rescale and rescale. */
  readonly rescale: number | undefined;
}

/** Tables [firsts + patches, headDim / 2] for the centers of patches, whose coordinates run from −1 to 1. */
export function gridRotaryTables(tracer: Tracer, params: GridRotaryParams): RotaryTables {
  const { graph } = tracer;
  const { grid, headDim, theta, firsts, augment } = params;
  const [rows, columns] = grid;
  const quarter = headDim / 4;
  const frequency = (i: number) => 2 * Math.PI * Math.fround(1 / Math.fround(theta) ** ((4 * i) / headDim));
  const place = (axis: 0 | 1) =>
    graph.lazyConstant([rows * columns, 1], () =>
      Float32Array.from({ length: rows * columns }, (_, i) => {
        const at = axis === 0 ? Math.floor(i / columns) : i % columns;
        return (2 * (at + 0.5)) / grid[axis] - 1;
      }),
    );
  const frequencies = graph.constant(
    Float32Array.from({ length: quarter }, (_, i) => frequency(i)),
    [1, quarter],
    'float32',
  );
  const [down, across] = augmented(tracer, [place(0), place(1)], augment);
  const angles = graph.concat([graph.mul(down, frequencies), graph.mul(across, frequencies)], 1);
  const still = (value: number) => graph.broadcast(graph.scalar(value), [firsts, 2 * quarter]);
  return {
    cos: graph.concat([still(1), graph.cos(angles)], 0),
    sin: graph.concat([still(0), graph.sin(angles)], 0),
  };
}

function augmented(tracer: Tracer, places: [Node, Node], { shift, jitter, rescale }: GridAugment): [Node, Node] {
  const { graph } = tracer;
  const moved = forBoth(tracer, places, shift, (x, by, most) => graph.add(x, graph.mul(by, most)));
  const stretch = (x: Node, by: Node, most: number) => graph.mul(x, graph.exp(graph.mul(by, Math.log(most))));
  const stretched = forBoth(tracer, moved, jitter, stretch);
  const by = rescale === undefined ? undefined : tracer.uniform(1);
  return by && rescale !== undefined
    ? [stretch(stretched[0], spread(graph, by, 0), rescale), stretch(stretched[1], spread(graph, by, 0), rescale)]
    : stretched;
}

/** Changes each of the two coordinates by its own random value between −1 and 1, in training traces only. */
function forBoth(
  tracer: Tracer,
  [a, b]: [Node, Node],
  most: number | undefined,
  change: (x: Node, by: Node, most: number) => Node,
): [Node, Node] {
  const by = most === undefined ? undefined : tracer.uniform(2);
  if (!by || most === undefined) return [a, b];
  return [change(a, spread(tracer.graph, by, 0), most), change(b, spread(tracer.graph, by, 1), most)];
}

/** Entry `i` of values between 0 and 1, mapped to −1 … 1: [1, 1]. */
const spread = (graph: Graph, x: Node, i: number): Node => graph.sub(graph.mul(graph.sliceAxis(x, 0, i, 1), 2), 1);
