/** Windows of an image (Liu et al. 2021, Swin): places that attend to each other. Every second layer shifts its windows. */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { lastOf } from '../../../narrow.ts';
import type { GridSize } from '../positions/resize-grid.ts';
import type { AttentionMask } from './attention.ts';

export interface WindowParams {
  /** Size of the image, in places. */
  readonly grid: GridSize;
  /** Side of a window, in places. */
  readonly size: number;
  /** Number of places that the windows are shifted by, toward the end of both axes. */
  readonly shift: number;
}

/** The size of an image made of whole windows: the last windows reach over the edge. */
const coveredBy = ({ grid, size }: WindowParams): [number, number] => [Math.ceil(grid[0] / size) * size, Math.ceil(grid[1] / size) * size];

/** Score between places that only the shift brought into one window, as in Swin: e⁻¹⁰⁰ is practically 0. */
const APART = -100;

/** x [batch, height, width, features] → [batch · windows · size², features]; places beyond the edge are zeros. */
export function toWindows(graph: Graph, x: Node, params: WindowParams): Node {
  const { size, shift } = params;
  const [batch, height, width, features] = dimensions(x.shape, 4);
  const [rows, columns] = coveredBy(params);
  const whole = graph.pad(x, [0, 0, 0, 0], [0, rows - height, columns - width, 0]);
  const split = graph.reshape(roll(graph, whole, shift), [batch, rows / size, size, columns / size, size, features]);
  return graph.reshape(graph.transpose(split, [0, 1, 3, 2, 4, 5]), [batch * rows * columns, features]);
}

/** The inverse of `toWindows`. @param x [batch · windows · size², features] */
export function fromWindows(graph: Graph, x: Node, batch: number, params: WindowParams): Node {
  const { grid, size, shift } = params;
  const features = lastOf(x.shape);
  const [rows, columns] = coveredBy(params);
  const split = graph.transpose(graph.reshape(x, [batch, rows / size, columns / size, size, size, features]), [0, 1, 3, 2, 4, 5]);
  const whole = roll(graph, graph.reshape(split, [batch, rows, columns, features]), -shift);
  return graph.slice(whole, [0, 0, 0, 0], [batch, grid[0], grid[1], features]);
}

/** Rolls both axes: place i gets the value from place i + shift, and values wrap around at the ends. */
function roll(graph: Graph, x: Node, shift: number): Node {
  if (shift === 0) return x;
  return [1, 2].reduce((y, axis) => {
    const length = y.shape[axis] as number;
    const first = shift > 0 ? shift : length + shift;
    return graph.concat([graph.sliceAxis(y, axis, first, length - first), graph.sliceAxis(y, axis, 0, first)], axis);
  }, x);
}

/** Separates places that the shift brought into one window from different sides of the image: [batch · windows, size², size²]. */
export function windowMask(graph: Graph, batch: number, params: WindowParams): AttentionMask {
  const { size, shift } = params;
  if (shift === 0) return { kind: 'all' };
  const [rows, columns] = coveredBy(params);
  const [windows, places] = [(rows * columns) / size ** 2, size ** 2];
  const region = (at: number, length: number) => Number(at >= length - size) + Number(at >= length - shift);
  const regionOf = (window: number, place: number): number => {
    const row = Math.floor(window / (columns / size)) * size + Math.floor(place / size);
    const column = (window % (columns / size)) * size + (place % size);
    return 3 * region(row, rows) + region(column, columns);
  };
  const bias = graph.lazyConstant([windows, places, places], () => {
    const values = new Float32Array(windows * places * places);
    for (let i = 0; i < values.length; i++) {
      const window = Math.floor(i / places ** 2);
      const isSame = regionOf(window, Math.floor(i / places) % places) === regionOf(window, i % places);
      values[i] = isSame ? 0 : APART;
    }
    return values;
  });
  const all = graph.broadcast(graph.reshape(bias, [1, windows, places, places]), [batch, windows, places, places]);
  return { kind: 'bias', bias: graph.reshape(all, [batch * windows, places, places]), causal: false };
}

/** The row of the relative-position table for each pair of places in a window, int32 [size⁴]. */
export function relativeRows(size: number): Int32Array {
  const places = size ** 2;
  return Int32Array.from({ length: places ** 2 }, (_, i) => {
    const [query, key] = [Math.floor(i / places), i % places];
    const down = Math.floor(query / size) - Math.floor(key / size) + size - 1;
    const across = (query % size) - (key % size) + size - 1;
    return down * (2 * size - 1) + across;
  });
}
