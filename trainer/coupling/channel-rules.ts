/** Rules for how channels pass through each operation; a missing one is a compile error. */
import type { OpName } from '../graph/attributes.ts';
import type { Node } from '../graph/graph.ts';
import { inputsOf, isOp } from '../graph/graph.ts';
import { type ChannelSets, type Channels, concat, merge, pickAxis, reshape, transpose, walk } from './channels.ts';

/** The channels of a tensor; undefined if it has none (a mask, a statistic, a weight). */
export type Known = Channels | undefined;

export interface RuleContext<Op extends OpName> {
  readonly sets: ChannelSets;
  readonly node: Node<Op>;
  readonly inputs: readonly Known[];
  /** Throws an error that says why the channels cannot be followed. */
  readonly fail: (why: string) => never;
}

type Rule<Op extends OpName> = (context: RuleContext<Op>) => Known;

/** Gives an output without channels that could be followed. */
const none = () => undefined;
const same: Rule<OpName> = ({ inputs }) => inputs[0];
/** Elementwise operations: the channels of all inputs are coupled. */
const together: Rule<OpName> = ({ sets, node, inputs }) =>
  merge(
    sets,
    node.shape.length,
    inputs.filter(input => input !== undefined),
  );

/** Sums over an axis along which channels differ give a statistic of all of them. */
function reduce({ node, inputs }: RuleContext<'sum'> | RuleContext<'max'>): Known {
  const [x] = inputs;
  const { axes, keepDims } = node.attrs;
  if (!x || axes.some(axis => x.shape[axis] !== 1)) return undefined;
  return keepDims ? x : { shape: x.shape.filter((_, axis) => !axes.includes(axis)), ids: x.ids };
}

/**
 * Values that are multiplied pairwise and summed are coupled: features of queries and keys. An axis that is not summed over keeps its
 * channels: the features of values.
 */
function product({ sets, node, inputs }: RuleContext<'matmul'>): Known {
  const { transposeA, transposeB } = node.attrs;
  const rank = node.shape.length;
  const swap = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  const [a, b] = [
    inputs[0] && (transposeA ? transpose(inputs[0], swap) : inputs[0]),
    inputs[1] && (transposeB ? transpose(inputs[1], swap) : inputs[1]),
  ];
  // Puts a [.., m, k] and b [.., k, n] on common axes [.., m, k, n].
  const wideA = a && { shape: [...a.shape, 1], ids: a.ids };
  const wideB = b && { shape: [...b.shape.slice(0, -2), 1, ...b.shape.slice(-2)], ids: b.ids };
  if (wideA && wideB && a.shape.at(-1) !== 1 && b.shape.at(-2) !== 1)
    walk(
      wideA.shape.map((d, axis) => Math.max(d, wideB.shape[axis] as number)),
      [wideA.shape, wideB.shape],
      (_, [i = 0, j = 0]) => sets.join(a.ids[i] as number, b.ids[j] as number),
    );
  const kept = [...(a && a.shape.at(-1) === 1 ? [a] : []), ...(b && b.shape.at(-2) === 1 ? [b] : [])];
  return merge(sets, rank, kept);
}

function gather({ node, inputs, fail }: RuleContext<'gather'>): Known {
  const [x] = inputs;
  const picks = inputsOf(node, 2)[1];
  const { axis } = node.attrs;
  if (!x) return undefined;
  if (x.shape[axis] === 1)
    return { shape: [...x.shape.slice(0, axis), ...picks.shape.map(() => 1), ...x.shape.slice(axis + 1)], ids: x.ids };
  if (!isOp(picks, 'constant') || picks.shape.length !== 1) return fail('it picks channels by numbers that are known only when it runs');
  const { value } = picks.attrs;
  return pickAxis(x, axis, value.length, i => value[i] as number);
}

function segmentSum({ inputs: [x], fail }: RuleContext<'segmentSum'>): Known {
  return x && x.shape[0] !== 1 ? fail('it adds channels up by numbers that are known only when it runs') : x;
}

const unary = {
  neg: same,
  abs: same,
  sign: same,
  floor: same,
  exp: same,
  log: same,
  sqrt: same,
  rsqrt: same,
  square: same,
  reciprocal: same,
} as const;
const nonlinear = { tanh: same, sigmoid: same, erf: same, relu: same, sin: same, cos: same, cast: same, softmax: same } as const;
const binary = { add: together, sub: together, mul: together, div: together, maximum: together, minimum: together } as const;
const sources = { feed: none, constant: none, read: none, randomMask: none, oneHot: none, argmax: none } as const;
const tests = { equal: none, less: none, greaterEqual: none, logicalAnd: none } as const;

const channelRules: { readonly [Op in OpName]: Rule<Op> } = {
  ...unary,
  ...nonlinear,
  ...binary,
  ...sources,
  ...tests,
  select: ({ sets, node, inputs }) =>
    merge(
      sets,
      node.shape.length,
      inputs.slice(1).filter(input => input !== undefined),
    ),
  sigmoidGrad: together,
  sum: reduce,
  max: reduce,
  reshape: ({ node, inputs: [x] }) => x && reshape(x, inputsOf(node, 1)[0].shape, node.shape),
  transpose: ({ node, inputs: [x] }) => x && transpose(x, node.attrs.perm),
  slice: ({ node, inputs: [x] }) =>
    x && node.attrs.begin.reduce<Channels>((cut, begin, axis) => pickAxis(cut, axis, node.attrs.size[axis] as number, i => begin + i), x),
  pad: ({ node, inputs: [x] }) =>
    x &&
    node.attrs.before.reduce<Channels>((wide, before, axis) => {
      const size = x.shape[axis] as number;
      return pickAxis(wide, axis, node.shape[axis] as number, i => (i >= before && i < before + size ? i - before : -1));
    }, x),
  concat: ({ sets, node, inputs }) =>
    concat(
      sets,
      inputs,
      node.inputs.map(({ shape }) => shape),
      node.attrs.axis,
    ),
  broadcast: ({ node, inputs: [x] }) =>
    x && { shape: [...node.shape.slice(0, node.shape.length - x.shape.length).map(() => 1), ...x.shape], ids: x.ids },
  gather,
  segmentSum,
  matmul: product,
  // A convolution or a stack of experts is a module: new channels start at its tap.
  conv2d: none,
  expertProduct: none,
  expertGradient: none,
  // Channels are derived from a graph with chunked attention.
  attention: none,
  attentionGradient: none,
  conv2dInputGrad: none,
  conv2dFilterGrad: none,
  maxPool2d: same,
  maxPool2dGrad: none,
  assign: none,
  assignAdd: none,
  updateRows: none,
  updateElements: none,
  updateColumns: none,
  adam: none,
  group: none,
  beginSum: none,
  endSum: none,
};

export const applyRule = <Op extends OpName>(context: RuleContext<Op>): Known => channelRules[context.node.op](context);
