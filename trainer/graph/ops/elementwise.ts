/** Elementwise operations, with NumPy's broadcasting. */
import type { OpName } from '../attributes.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import type { Node } from '../node-store.ts';
import { inputsOf } from '../node-store.ts';
import type { GradientRule, OpRule, OpTable } from '../op-rule.ts';
import { broadcastShapes, elementCount, GraphError, type TensorSpec } from '../types.ts';

export type Unary =
  | 'neg'
  | 'abs'
  | 'sign'
  | 'floor'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'square'
  | 'reciprocal'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'relu'
  | 'sin'
  | 'cos';
export type Binary = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum';
export type Comparison = 'equal' | 'less' | 'greaterEqual' | 'logicalAnd';
/** All elementwise operations: a kernel table of this family has an entry for each. */
export type Elementwise = Unary | Binary | Comparison | 'cast' | 'select' | 'sigmoidGrad';

/** Returns true if this operation is elementwise. */
export const worksByElement = (op: OpName): op is Elementwise => Object.hasOwn(elementwiseRules, op);

/** Sums a gradient back to the shape before broadcasting. */
export function unbroadcast(graph: GraphBuilder, dy: Node, like: TensorSpec): Node {
  const extra = dy.shape.length - like.shape.length;
  const axes = dy.shape.map((_, i) => i).filter(i => i < extra || (like.shape[i - extra] === 1 && dy.shape[i] !== 1));
  return graph.reshape(graph.sum(dy, axes, true), like.shape);
}

/** Returns the rule of a unary operation. `derivative` returns dy · f′(x) from the forward values that it requests. */
function unary<Op extends Unary>(
  derivative: (context: { graph: GraphBuilder; dy: Node; x: () => Node; y: () => Node }) => Node | undefined,
  cost = 1,
): OpRule<Op> {
  return {
    infer: ([x]) => need(x),
    gradient: ({ graph, dy, node, value }) => [derivative({ graph, dy, x: () => value(inputsOf(node, 1)[0]), y: () => value(node) })],
    flops: (_, output) => cost * elementCount(output.shape),
    buffer: 'reuse',
  };
}

function binary<Op extends Binary>(
  gradient: (context: Parameters<GradientRule<Op>>[0], a: Node, b: Node) => [() => Node, () => Node],
): OpRule<Op> {
  return {
    infer: inputs => broadcastSpec(inputs),
    gradient: context => {
      const [a, b] = inputsOf(context.node, 2);
      const [gradA, gradB] = gradient(context, a, b);
      return [
        context.wants(0) ? unbroadcast(context.graph, gradA(), a) : undefined,
        context.wants(1) ? unbroadcast(context.graph, gradB(), b) : undefined,
      ];
    },
    flops: (_, output) => elementCount(output.shape),
    buffer: 'reuse',
  };
}

const comparison = <Op extends Comparison>(): OpRule<Op> => ({
  infer: inputs => ({ shape: broadcastSpec(inputs).shape, dtype: 'bool' }),
  gradient: null,
  flops: (_, output) => elementCount(output.shape),
  buffer: 'fresh',
});

function need(x: TensorSpec | undefined): TensorSpec {
  if (!x) throw new GraphError('an input is missing');
  return { shape: x.shape, dtype: x.dtype };
}

function broadcastSpec(inputs: readonly TensorSpec[]): TensorSpec {
  const a = need(inputs[0]);
  const b = need(inputs[1]);
  if (a.dtype !== b.dtype) throw new GraphError('the element types differ');
  return { shape: broadcastShapes(a.shape, b.shape), dtype: a.dtype };
}

/** Passes dy to whichever input was selected; to the first if both are equal. */
const taken =
  (firstTaken: (graph: GraphBuilder, a: Node, b: Node) => Node) =>
  ({ graph, dy, value }: Parameters<GradientRule>[0], a: Node, b: Node): [() => Node, () => Node] => {
    const mask = () => graph.cast(firstTaken(graph, value(a), value(b)), 'float32');
    return [() => graph.mul(dy, mask()), () => graph.mul(dy, graph.sub(graph.scalar(1), mask()))];
  };

export const elementwiseRules: Pick<OpTable, Elementwise> = {
  neg: unary(({ graph, dy }) => graph.neg(dy)),
  abs: unary(({ graph, dy, x }) => graph.mul(dy, graph.sign(x()))),
  sign: { ...unary<'sign'>(() => undefined), gradient: null },
  floor: { ...unary<'floor'>(() => undefined), gradient: null },
  exp: unary(({ graph, dy, y }) => graph.mul(dy, y()), 10),
  log: unary(({ graph, dy, x }) => graph.div(dy, x()), 10),
  sqrt: unary(({ graph, dy, y }) => graph.div(graph.mul(dy, 0.5), y()), 2),
  // d x^(−1/2) = −½ y³
  rsqrt: unary(({ graph, dy, y }) => graph.mul(graph.mul(dy, -0.5), graph.mul(y(), graph.square(y()))), 2),
  square: unary(({ graph, dy, x }) => graph.mul(graph.mul(dy, 2), x())),
  reciprocal: unary(({ graph, dy, y }) => graph.neg(graph.mul(dy, graph.square(y())))),
  tanh: unary(({ graph, dy, y }) => graph.mul(dy, graph.sub(graph.scalar(1), graph.square(y()))), 10),
  sigmoid: unary(({ graph, dy, y }) => graph.node('sigmoidGrad', [y(), dy], {}), 10),
  // d erf = 2/√π · exp(−x²)
  erf: unary(({ graph, dy, x }) => graph.mul(dy, graph.mul(graph.exp(graph.neg(graph.square(x()))), 2 / Math.sqrt(Math.PI))), 20),
  relu: unary(({ graph, dy, y }) => graph.mul(dy, graph.sign(y()))),
  sin: unary(({ graph, dy, x }) => graph.mul(dy, graph.cos(x())), 10),
  cos: unary(({ graph, dy, x }) => graph.neg(graph.mul(dy, graph.sin(x()))), 10),
  cast: {
    infer: ([x], { dtype }) => ({ shape: need(x).shape, dtype }),
    gradient: ({ graph, dy, node }) => {
      const from = node.inputs[0]?.dtype;
      return [from === 'float32' || from === 'bfloat16' ? graph.cast(dy, from) : undefined];
    },
    flops: (_, output) => elementCount(output.shape),
    buffer: 'fresh',
    rowwise: true,
  },
  add: binary(({ dy }) => [() => dy, () => dy]),
  sub: binary(({ graph, dy }) => [() => dy, () => graph.neg(dy)]),
  mul: binary(({ graph, dy, value }, a, b) => [() => graph.mul(dy, value(b)), () => graph.mul(dy, value(a))]),
  div: binary(({ graph, dy, value, node }, _, b) => [
    () => graph.div(dy, value(b)),
    () => graph.neg(graph.div(graph.mul(dy, value(node)), value(b))),
  ]),
  maximum: binary(taken((graph, a, b) => graph.greaterEqual(a, b))),
  minimum: binary(taken((graph, a, b) => graph.greaterEqual(b, a))),
  equal: comparison(),
  less: comparison(),
  greaterEqual: comparison(),
  logicalAnd: comparison(),
  select: {
    infer: ([condition, a, b]) => {
      const branches = broadcastSpec([need(a), need(b)]);
      if (condition?.dtype !== 'bool') throw new GraphError('the condition must be bool');
      return { shape: broadcastShapes(condition.shape, branches.shape), dtype: branches.dtype };
    },
    gradient: ({ graph, dy, node, value, wants }) => {
      const [condition, a, b] = inputsOf(node, 3);
      const chosen = () => graph.cast(value(condition), dy.dtype);
      return [
        undefined,
        wants(1) ? unbroadcast(graph, graph.mul(dy, chosen()), a) : undefined,
        wants(2) ? unbroadcast(graph, graph.mul(dy, graph.sub(graph.scalar(1), chosen())), b) : undefined,
      ];
    },
    flops: (_, output) => elementCount(output.shape),
    buffer: 'fresh',
  },
  sigmoidGrad: {
    infer: ([y]) => need(y),
    gradient: ({ graph, dy, node, value, wants }) => {
      const [y, inner] = inputsOf(node, 2);
      const slope = graph.mul(value(y), graph.sub(graph.scalar(1), value(y)));
      const curve = () => graph.sub(graph.scalar(1), graph.mul(value(y), 2));
      return [wants(0) ? graph.mul(graph.mul(dy, value(inner)), curve()) : undefined, wants(1) ? graph.mul(dy, slope) : undefined];
    },
    flops: (_, output) => 3 * elementCount(output.shape),
    buffer: 'reuse',
  },
};
