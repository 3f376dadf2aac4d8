/**
 * Access patterns: which element of a value belongs to each point that a fused program iterates over. Moves only change the access pattern.
 */
import { elementAt } from '../../narrow.ts';
import type { Shape } from '../types.ts';

/** A loop axis of a fused program. A reshape may cut it in two; every holder of the axis then sees its parts. */
export class Axis {
  readonly size: number;
  private parts: readonly [outer: Axis, inner: Axis] | undefined;

  constructor(size: number) {
    this.size = size;
  }

  get leaves(): readonly Axis[] {
    return this.parts ? this.parts.flatMap(part => part.leaves) : [this];
  }

  get isWhole(): boolean {
    return this.parts === undefined;
  }

  /** Cuts an uncut axis into an outer axis of `size / inner` and an inner axis of `inner`. */
  cut(inner: number): void {
    this.parts = [new Axis(this.size / inner), new Axis(inner)];
  }
}

/** The index into one dimension of a value: Σ axis · stride + begin. */
export interface Dim {
  readonly terms: readonly { readonly axis: Axis; readonly stride: number }[];
  readonly begin: number;
  /** Size of the dimension. */
  readonly size: number;
}

export interface Access {
  readonly dims: readonly Dim[];
  /** Present under a pad: outside these windows the value is `value`. */
  readonly padding?: { readonly value: number; readonly windows: readonly AxisWindow[] };
}

/** The range [low, high) of an axis. */
export interface AxisWindow {
  readonly axis: Axis;
  readonly low: number;
  readonly high: number;
}

/** Thrown for a move that no access pattern can express. */
export class NotAnAccess extends Error {
  override name = 'NotAnAccess';
}

const dimAlong = (axes: readonly Axis[], size: number): Dim => {
  let stride = size;
  const terms = axes.map(axis => {
    stride /= axis.size;
    return { axis, stride };
  });
  return { terms, begin: 0, size };
};

/** Returns the access of every element of a tensor in its own order, along new axes. */
export const identity = (shape: Shape): Access => ({ dims: shape.map(size => dimAlong(size === 1 ? [] : [new Axis(size)], size)) });

/** Returns the dimension with every cut axis replaced by its parts. */
export function resolve({ terms, begin, size }: Dim): Dim {
  if (terms.every(({ axis }) => axis.isWhole)) return { terms, begin, size };
  const whole = terms.flatMap(({ axis, stride }) => {
    let step = stride * axis.size;
    return axis.leaves.map(leaf => {
      step /= leaf.size;
      return { axis: leaf, stride: step };
    });
  });
  return { terms: whole, begin, size };
}

/** Returns true if the terms run through the dimension from end to end, visiting each index once and in order. */
export function isRegular({ terms, begin, size }: Dim): boolean {
  let stride = size;
  for (const { axis, stride: own } of terms) {
    stride /= axis.size;
    if (own !== stride) return false;
  }
  return begin === 0 && stride === 1;
}

/** Returns the access of a reshape's input, given the access of its output. Cuts axes only if `mayCut` approves. */
export function throughReshape(access: Access, from: Shape, to: Shape, mayCut: (axis: Axis) => boolean): Access {
  const dims: Dim[] = [];
  let i = 0;
  let j = 0;
  while (i < to.length || j < from.length) {
    // The shortest runs of dimensions of both shapes that contain the same number of elements.
    let [ours, theirs] = [1, 1];
    const [beginI, beginJ] = [i, j];
    do {
      if (i < to.length && (ours <= theirs || j >= from.length)) ours *= to[i++] as number;
      else if (j < from.length) theirs *= from[j++] as number;
      else throw new NotAnAccess();
    } while (ours !== theirs);
    while (i < to.length && to[i] === 1) i++;
    while (j < from.length && from[j] === 1) j++;
    const inside = access.dims.slice(beginI, i).map(resolve);
    const sizes = from.slice(beginJ, j);
    const wide = inside.filter(({ size }) => size !== 1);
    if (sizes.filter(size => size !== 1).length <= 1 && (wide.length <= 1 || access.padding === undefined)) {
      // Any dimensions can be joined into one, however they are indexed.
      dims.push(...sizes.map(size => (size === 1 ? { terms: [], begin: 0, size: 1 } : joined(wide))));
      continue;
    }
    if (!wide.every(isRegular)) throw new NotAnAccess();
    dims.push(
      ...regroup(
        wide.flatMap(({ terms }) => terms.map(({ axis }) => axis)),
        sizes,
        mayCut,
      ),
    );
  }
  return { ...access, dims };
}

/** Returns one dimension that replaces several consecutive ones. */
function joined(dims: readonly Dim[]): Dim {
  let size = 1;
  let begin = 0;
  const terms: Dim['terms'][number][] = [];
  for (const dim of [...dims].reverse()) {
    const step = size;
    terms.unshift(...dim.terms.map(({ axis, stride }) => ({ axis, stride: stride * step })));
    begin += dim.begin * step;
    size *= dim.size;
  }
  return { terms, begin, size };
}

/** Distributes axes over dimensions of these sizes, cutting an axis where a dimension ends inside it. */
function regroup(axes: readonly Axis[], sizes: Shape, mayCut: (axis: Axis) => boolean): Dim[] {
  const waiting = [...axes];
  const dims: Dim[] = [];
  for (const size of [...sizes].reverse()) {
    const taken: Axis[] = [];
    let count = 1;
    while (count < size) {
      const axis = waiting.pop();
      if (!axis) throw new NotAnAccess();
      if (count * axis.size <= size) {
        taken.unshift(axis);
        count *= axis.size;
        continue;
      }
      const inner = size / count;
      if (!Number.isInteger(inner) || axis.size % inner !== 0 || !mayCut(axis)) throw new NotAnAccess();
      axis.cut(inner);
      waiting.push(...axis.leaves);
    }
    if (count !== size) throw new NotAnAccess();
    dims.unshift(dimAlong(taken, size));
  }
  return dims;
}

export const throughTranspose = (access: Access, perm: readonly number[]): Access => ({
  ...access,
  dims: perm.map((_, axis) => elementAt(access.dims, perm.indexOf(axis))),
});

export const throughSlice = (access: Access, begin: readonly number[], from: Shape): Access => ({
  ...access,
  dims: access.dims.map((dim, i) => ({ ...dim, begin: dim.begin + (begin[i] as number), size: from[i] as number })),
});

/**
 * Returns the access of a pad's input.
 * @throws NotAnAccess if an index that may be out of range involves more than one axis, or lies under another pad with a different value
 */
export function throughPad(access: Access, before: readonly number[], from: Shape, value: number): Access {
  if (access.padding && access.padding.value !== value) throw new NotAnAccess();
  const inside = throughSlice(
    access,
    before.map(n => -n),
    from,
  );
  const windows = inside.dims.flatMap((dim): AxisWindow[] => {
    const { terms, begin, size } = resolve(dim);
    const last = begin + terms.reduce((sum, { axis, stride }) => sum + (axis.size - 1) * stride, 0);
    if (begin >= 0 && last < size) return [];
    const [term] = terms;
    if (terms.length !== 1 || term?.stride !== 1) throw new NotAnAccess();
    return [{ axis: term.axis, low: Math.max(0, -begin), high: Math.min(term.axis.size, size - begin) }];
  });
  return { ...inside, padding: { value, windows: [...(access.padding?.windows ?? []), ...windows] } };
}

/** Returns the access of an operand that is broadcast to the shape of the result. */
export function throughBroadcast(access: Access, from: Shape): Access {
  const missing = access.dims.length - from.length;
  return {
    ...access,
    dims: from.map((size, i) => {
      const dim = elementAt(access.dims, i + missing);
      return size === 1 && dim.size !== 1 ? { terms: [], begin: 0, size } : dim;
    }),
  };
}

/** Returns the offset and the stride of each axis in the memory of a dense tensor. */
export function strides({ dims }: Access): { readonly offset: number; readonly along: ReadonlyMap<Axis, number> } {
  const along = new Map<Axis, number>();
  let offset = 0;
  let step = 1;
  for (const dim of [...dims].reverse()) {
    for (const { axis, stride } of resolve(dim).terms) along.set(axis, (along.get(axis) ?? 0) + stride * step);
    offset += dim.begin * step;
    step *= dim.size;
  }
  return { offset, along };
}

const names = new WeakMap<Axis, number>();
let named = 0;

/** Returns a key that is equal for two accesses that read the same elements at the same points. */
export function accessKey(access: Access): string {
  const nameOf = (axis: Axis): number => {
    const known = names.get(axis) ?? named++;
    names.set(axis, known);
    return known;
  };
  const dims = access.dims.map(dim => {
    const { terms, begin, size } = resolve(dim);
    return `${begin}/${size}:${terms.map(({ axis, stride }) => `${nameOf(axis)}*${stride}`).join('+')}`;
  });
  const { padding } = access;
  const outside =
    padding && `${padding.value} ${padding.windows.map(({ axis, low, high }) => `${nameOf(axis)}[${low},${high})`).join(' ')}`;
  return `${dims.join(' ')}|${outside ?? ''}`;
}
