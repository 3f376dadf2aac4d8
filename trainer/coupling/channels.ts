/** The channel of every element of a tensor, stored only along the axes on which it varies; and the moves that preserve it. */
import { elementCount, type Shape } from '../graph/types.ts';

/**
 * The channels of a tensor. Each axis has the tensor's own size, or 1 if the channels are the same along it (batch, tokens, positions of an
 * image).
 */
export interface Channels {
  readonly shape: Shape;
  /** Channel ids in the flat order of `shape`; −1 if there is none. */
  readonly ids: Int32Array;
}

/** Coupled channels: a union-find over their ids. */
export class ChannelSets {
  private readonly parents: number[] = [];

  fresh(count: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.parents.push(this.parents.length) - 1);
  }

  find(id: number): number {
    let root = id;
    while (this.parents[root] !== root) root = this.parents[root] as number;
    for (let at = id; at !== root; ) {
      const next = this.parents[at] as number;
      this.parents[at] = root;
      at = next;
    }
    return root;
  }

  /** Joins two channels; does nothing if one is −1. @returns either id, preferring one that is a channel */
  join(a: number, b: number): number {
    if (a < 0 || b < 0) return Math.max(a, b);
    const [x, y] = [this.find(a), this.find(b)];
    const low = Math.min(x, y);
    this.parents[Math.max(x, y)] = low;
    return low;
  }
}

/** Calls `visit` with each flat index in `shape` and the corresponding indices in tensors that broadcast to it. */
export function walk(shape: Shape, parts: readonly Shape[], visit: (place: number, places: readonly number[]) => void): void {
  const strides = parts.map(part => stridesTowards(part, shape));
  const index = new Array<number>(shape.length).fill(0);
  const places = parts.map(() => 0);
  const count = elementCount(shape);
  for (let place = 0; place < count; place++) {
    visit(place, places);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const wraps = (index[axis] as number) + 1 === shape[axis];
      index[axis] = wraps ? 0 : (index[axis] as number) + 1;
      for (const [i, stride] of strides.entries()) {
        const step = stride[axis] as number;
        places[i] = (places[i] as number) + (wraps ? -step * ((shape[axis] as number) - 1) : step);
      }
      if (!wraps) break;
    }
  }
}

/** Returns the strides of `part`, right-aligned with `shape`; 0 along axes that it lacks or that have size 1. */
function stridesTowards(part: Shape, shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(0);
  let stride = 1;
  for (let axis = part.length - 1; axis >= 0; axis--) {
    if (part[axis] !== 1) strides[shape.length - part.length + axis] = stride;
    stride *= part[axis] as number;
  }
  return strides;
}

const broadcastShape = (rank: number, parts: readonly Shape[]): number[] =>
  Array.from({ length: rank }, (_, axis) => Math.max(1, ...parts.map(part => part[axis - rank + part.length] ?? 1)));

/** Couples the channels of elements that are combined one by one. @param rank of the result */
export function merge(sets: ChannelSets, rank: number, parts: readonly Channels[]): Channels | undefined {
  const [first] = parts;
  if (!first || (parts.length === 1 && first.shape.length === rank)) return first;
  const shapes = parts.map(part => part.shape);
  const shape = broadcastShape(rank, shapes);
  const ids = new Int32Array(elementCount(shape));
  walk(shape, shapes, (place, places) => {
    ids[place] = parts.reduce((joined, part, i) => sets.join(joined, part.ids[places[i] as number] as number), -1);
  });
  return { shape, ids };
}

/** Expands to the full size along some axes. */
function spread({ shape, ids }: Channels, full: Shape): Channels {
  const wide = new Int32Array(elementCount(full));
  walk(full, [shape], (place, [from = 0]) => {
    wide[place] = ids[from] as number;
  });
  return { shape: full, ids: wide };
}

/** Reduces every axis along which nothing varies to one entry. */
function compress(channels: Channels): Channels {
  let { shape, ids } = channels;
  for (const axis of shape.keys()) {
    const size = shape[axis] as number;
    const inner = elementCount(shape.slice(axis + 1));
    const isSame = size > 1 && ids.every((id, i) => id === ids[i - (Math.floor(i / inner) % size) * inner]);
    if (!isSame) continue;
    ids = ids.filter((_, i) => Math.floor(i / inner) % size === 0);
    shape = shape.map((d, i) => (i === axis ? 1 : d));
  }
  return { shape, ids };
}

/** Reshapes. @param full the tensor's own previous shape */
export function reshape(channels: Channels, full: Shape, shape: Shape): Channels {
  const spreadOut: number[] = [];
  const blocks = matchingBlocks(full, shape);
  // Only axes that are split or joined together with a varying axis are expanded to their full size.
  for (const { before } of blocks) {
    const differs = before.some(axis => channels.shape[axis] !== 1);
    for (const axis of before) spreadOut[axis] = differs ? (full[axis] as number) : 1;
  }
  const wide = spread(channels, spreadOut);
  const moved = blocks.flatMap(({ before, after }) =>
    before.some(axis => channels.shape[axis] !== 1) ? after.map(axis => shape[axis] as number) : after.map(() => 1),
  );
  return compress({ shape: moved, ids: wide.ids });
}

/** Returns the shortest runs of axes with equal products, in order. */
function matchingBlocks(a: Shape, b: Shape): { before: number[]; after: number[] }[] {
  const blocks: { before: number[]; after: number[] }[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const block: { before: number[]; after: number[] } = { before: [], after: [] };
    let [left, right] = [1, 1];
    const takeLeft = () => {
      block.before.push(i);
      left *= a[i++] as number;
    };
    const takeRight = () => {
      block.after.push(j);
      right *= b[j++] as number;
    };
    if (i < a.length) takeLeft();
    if (j < b.length) takeRight();
    while (left !== right) (left < right ? takeLeft : takeRight)();
    blocks.push(block);
  }
  return blocks;
}

export function transpose({ shape, ids }: Channels, perm: readonly number[]): Channels {
  const moved = perm.map(axis => shape[axis] as number);
  const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  const out = new Int32Array(ids.length);
  const index = new Array<number>(moved.length).fill(0);
  for (let place = 0; place < out.length; place++) {
    out[place] = ids[perm.reduce((from, axis, i) => from + (index[i] as number) * (strides[axis] as number), 0)] as number;
    for (let i = moved.length - 1; i >= 0; i--) {
      index[i] = (index[i] as number) + 1;
      if ((index[i] as number) < (moved[i] as number)) break;
      index[i] = 0;
    }
  }
  return { shape: moved, ids: out };
}

/** Picks the entries `from(i)` of one axis for i below `size`; −1 means none. Does nothing if nothing varies along the axis. */
export function pickAxis({ shape, ids }: Channels, axis: number, size: number, from: (i: number) => number): Channels {
  if (shape[axis] === 1) return { shape, ids };
  const inner = elementCount(shape.slice(axis + 1));
  const before = shape[axis] as number;
  const moved = shape.map((d, i) => (i === axis ? size : d));
  const out = Int32Array.from({ length: elementCount(moved) }, (_, place) => {
    const source = from(Math.floor(place / inner) % size);
    const outer = Math.floor(place / (inner * size));
    return source < 0 ? -1 : (ids[(outer * before + source) * inner + (place % inner)] as number);
  });
  return { shape: moved, ids: out };
}

/** Concatenates along an axis; if no part varies along it, the parts are coupled. */
export function concat(
  sets: ChannelSets,
  parts: readonly (Channels | undefined)[],
  fulls: readonly Shape[],
  axis: number,
): Channels | undefined {
  const known = parts.filter(part => part !== undefined);
  const [first] = known;
  if (!first) return undefined;
  if (known.every(part => part.shape[axis] === 1)) return merge(sets, first.shape.length, known);
  const others = broadcastShape(
    first.shape.length,
    known.map(part => part.shape.map((d, i) => (i === axis ? 1 : d))),
  );
  const wide = parts.map((part, i) => {
    const shape = others.map((d, at) => (at === axis ? (fulls[i]?.[axis] as number) : d));
    return part ? spread(part, shape) : { shape, ids: new Int32Array(elementCount(shape)).fill(-1) };
  });
  const total = wide.reduce((sum, part) => sum + (part.shape[axis] as number), 0);
  const shape = others.map((d, at) => (at === axis ? total : d));
  const inner = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  const ids = new Int32Array(elementCount(shape));
  let place = 0;
  for (let o = 0; o < outer; o++)
    for (const part of wide) {
      const run = (part.shape[axis] as number) * inner;
      ids.set(part.ids.subarray(o * run, (o + 1) * run), place);
      place += run;
    }
  return { shape, ids };
}
