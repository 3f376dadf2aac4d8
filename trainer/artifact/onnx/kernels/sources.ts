/** Sources of values (feeds, weights and constants), and effects, which no forward pass has. */
import { elementCount, GraphError, type HostArray, type Shape, sameShape } from '../../../graph/types.ts';
import { onnxType } from '../emitter.ts';
import type { Lowering, LoweringTable } from '../lowering.ts';
import { refused } from '../lowering.ts';
import { fixed, fixedValue } from '../size.ts';

type Sources =
  | 'feed'
  | 'constant'
  | 'read'
  | 'randomMask'
  | 'assign'
  | 'assignAdd'
  | 'updateRows'
  | 'updateElements'
  | 'updateColumns'
  | 'adam'
  | 'group'
  | 'beginSum'
  | 'endSum';

const inTraining = 'training';
const amongProcesses = 'runs of several processes';

export const sourceLowerings: Pick<LoweringTable, Sources> = {
  feed: ({ attrs, feed }) => feed(attrs.name),
  constant,
  read: ({ attrs, weight }) => weight(attrs.variable),
  randomMask: refused('randomMask', inTraining),
  assign: refused('assign', inTraining),
  assignAdd: refused('assignAdd', inTraining),
  updateRows: refused('updateRows', inTraining),
  updateElements: refused('updateElements', inTraining),
  updateColumns: refused('updateColumns', inTraining),
  adam: refused('adam', inTraining),
  group: refused('group', inTraining),
  beginSum: refused('beginSum', amongProcesses),
  endSum: refused('endSum', amongProcesses),
};

/** A constant that is the same for all sizes, or a prefix, along each axis, of the constant for the longest text. */
function constant({ emitter, shape, traced: { short, long } }: Parameters<Lowering<'constant'>>[0]): string {
  const { value, dtype } = long.attrs;
  if (!isBeginning(short.attrs, long.attrs))
    throw new GraphError(`a constant [${long.shape}] is another one for an input of another size, and not a part of it`);
  const isFixed = shape.every(size => fixedValue(size) !== undefined);
  if (isFixed && elementCount(long.shape) === 1 && long.shape.length === 0) return emitter.scalar(Number(value[0]), dtype);
  const table = emitter.tensor(value, onnxType(dtype), long.shape);
  const whole = { name: table, dtype, shape: long.shape.map(fixed) };
  return emitter.slice(
    whole,
    shape.map(() => fixed(0)),
    shape,
  );
}

interface Numbers {
  readonly value: HostArray;
  readonly shape: Shape;
}

/** True if the values of `part` are those at the beginning of each axis of `whole`. */
function isBeginning(part: Numbers, whole: Numbers): boolean {
  if (sameShape(part.shape, whole.shape)) return part.value.every((value, i) => Object.is(value, whole.value[i]));
  const places = part.shape.map((_, axis) => elementCount(part.shape.slice(axis + 1)));
  const steps = whole.shape.map((_, axis) => elementCount(whole.shape.slice(axis + 1)));
  return part.value.every((value, i) => {
    let at = 0;
    part.shape.forEach((size, axis) => {
      at += (Math.floor(i / (places[axis] as number)) % size) * (steps[axis] as number);
    });
    return Object.is(value, whole.value[at]);
  });
}
