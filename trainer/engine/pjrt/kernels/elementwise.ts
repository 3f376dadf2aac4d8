/** Elementwise operations: one StableHLO operation each, except for those that it lacks. */
import type { OpName } from '../../../graph/attributes.ts';
import type { Elementwise } from '../../../graph/ops/elementwise.ts';
import type { Emitter } from '../emitter.ts';
import { hloType, type Value } from '../hlo-type.ts';
import { inFloat32, type Lowering, type LoweringTable, one, three, two } from '../lowering.ts';

const unary =
  <Op extends OpName>(name: string): Lowering<Op> =>
  ({ emitter, inputs }) =>
    emitter.map(name, inputs);

const binary =
  <Op extends OpName>(name: string): Lowering<Op> =>
  ({ emitter, inputs }) =>
    emitter.zip(name, ...two(inputs));

const comparison =
  <Op extends OpName>(direction: 'EQ' | 'LT' | 'GE'): Lowering<Op> =>
  ({ emitter, inputs }) =>
    emitter.compare(direction, ...two(inputs));

/** Computes in 32 bits and rounds once. */
const wide =
  <Op extends OpName>(compute: (emitter: Emitter, x: Value) => Value): Lowering<Op> =>
  ({ emitter, inputs }) =>
    inFloat32({ emitter }, one(inputs), x => compute(emitter, x));

export const elementwiseLowerings: Pick<LoweringTable, Elementwise> = {
  neg: unary('negate'),
  abs: unary('abs'),
  sign: unary('sign'),
  floor: unary('floor'),
  exp: unary('exponential'),
  log: unary('log'),
  sqrt: unary('sqrt'),
  rsqrt: unary('rsqrt'),
  square: ({ emitter, inputs }) => emitter.zip('multiply', one(inputs), one(inputs)),
  reciprocal: ({ emitter, inputs }) => emitter.zip('divide', emitter.fill(1, one(inputs).type), one(inputs)),
  tanh: unary('tanh'),
  sigmoid: unary('logistic'),
  erf: wide(erf),
  relu: ({ emitter, inputs }) => emitter.zip('maximum', one(inputs), emitter.fill(0, one(inputs).type)),
  sin: unary('sine'),
  cos: unary('cosine'),
  cast: ({ emitter, inputs, attrs }) => emitter.convert(one(inputs), hloType(attrs.dtype)),
  add: binary('add'),
  sub: binary('subtract'),
  mul: binary('multiply'),
  div: binary('divide'),
  maximum: binary('maximum'),
  minimum: binary('minimum'),
  equal: comparison('EQ'),
  less: comparison('LT'),
  greaterEqual: comparison('GE'),
  logicalAnd: binary('and'),
  select: ({ emitter, inputs }) => emitter.select(...three(inputs)),
  // dy · y · (1 − y)
  sigmoidGrad: ({ emitter, inputs }) => {
    const [y, dy] = two(inputs);
    const rest = emitter.zip('subtract', emitter.fill(1, y.type), y);
    return emitter.zip('multiply', dy, emitter.zip('multiply', y, rest));
  },
};

/**
 * Rational approximation x · P(x²) / Q(x²) on [−4, 4], accurate to a few units in the last place: the same as in
 * `engine/portable/kernels/erf.ts`.
 */
const NUMERATOR = [
  -2.72614225801306e-10, 2.77068142495902e-8, -2.10102402082508e-6, -5.69250639462346e-5, -7.34990630326855e-4, -2.95459980854025e-3,
  -1.60960333262415e-2,
];
const DENOMINATOR = [-1.45660718464996e-5, -2.13374055278905e-4, -1.68282697438203e-3, -7.37332916720468e-3, -1.42647390514189e-2];
/** Bound beyond which erf is 1 in float32. */
const SATURATED = 4;

/** Computes the error function, which StableHLO lacks. */
function erf(emitter: Emitter, x: Value): Value {
  const number = (value: number): Value => emitter.fill(value, 'f32');
  const polynomial = (square: Value, [first = 0, ...rest]: readonly number[]): Value =>
    rest.reduce((sum, c) => emitter.zip('add', emitter.zip('multiply', sum, square), number(c)), emitter.stretch(number(first), x.shape));
  const clipped = emitter.zip('maximum', emitter.zip('minimum', x, number(SATURATED)), number(-SATURATED));
  const square = emitter.zip('multiply', clipped, clipped);
  return emitter.zip('divide', emitter.zip('multiply', clipped, polynomial(square, NUMERATOR)), polynomial(square, DENOMINATOR));
}
