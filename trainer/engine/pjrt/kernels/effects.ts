/** Effects on variables: a variable is a value that is replaced; the compiler writes it in place, because its buffer is donated. */

import { elementCount } from '../../../graph/types.ts';
import { atLeast } from '../../../narrow.ts';
import { withColumns } from '../columns.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { type Lowering, type LoweringTable, one, two } from '../lowering.ts';

type Effects = 'assign' | 'assignAdd' | 'updateRows' | 'updateElements' | 'updateColumns' | 'adam' | 'group';

const token = (emitter: Emitter): Value => emitter.fill(1, 'i1');

/** Operations that give one variable its next value. */
type Writes = Exclude<Effects, 'adam' | 'group'>;

const effect =
  <Op extends Writes>(change: Lowering<Op>): Lowering<Op> =>
  context => {
    context.set(context.attrs.variable, change(context));
    return token(context.emitter);
  };

/** Returns an exponential moving average, old + (new − old) · (1 − decay), in TensorFlow's form. */
const blend = (emitter: Emitter, old: Value, fresh: Value, decay: number): Value =>
  emitter.zip('add', old, emitter.zip('multiply', emitter.zip('subtract', fresh, old), emitter.fill(1 - decay, old.type)));

export const effectLowerings: Pick<LoweringTable, Effects> = {
  assign: effect(({ inputs }) => one(inputs)),
  assignAdd: effect(({ emitter, inputs, attrs, get }) => emitter.zip('add', get(attrs.variable), one(inputs))),
  updateRows: effect(({ emitter, inputs, attrs, get }) =>
    emitter.scatter(get(attrs.variable), ...two(inputs), { combine: 'replace', unique: true }),
  ),
  updateElements: effect(({ emitter, inputs, attrs, get }) => {
    const before = get(attrs.variable);
    const flat = emitter.reshape(before, [elementCount(before.shape)]);
    return emitter.reshape(emitter.scatter(flat, ...two(inputs), { combine: 'replace', unique: true }), before.shape);
  }),
  // The indices are computed after the values: otherwise XLA would compute the indices of all variables at the start of the program, and
  // keep them.
  updateColumns: effect(({ emitter, inputs, attrs, get }) => {
    const [columns, values] = two(emitter.barrier([...two(inputs)]));
    return withColumns(emitter, { matrix: get(attrs.variable), columns, values });
  }),
  // As in TensorFlow's ResourceApplyAdam: the bias correction is in the rate, and ε is added to the uncorrected √v.
  adam: ({ emitter, inputs, attrs, get, set }) => {
    const [gradient, rate, beta1Power, beta2Power, epsilon] = atLeast(inputs, 5);
    const rest = (power: Value): Value => emitter.zip('subtract', emitter.fill(1, 'f32'), power);
    const corrected = emitter.zip('multiply', rate, emitter.map('sqrt', [rest(beta2Power)]));
    const step = emitter.zip('divide', corrected, rest(beta1Power));
    const m = blend(emitter, get(attrs.m), gradient, attrs.beta1);
    const v = blend(emitter, get(attrs.v), emitter.zip('multiply', gradient, gradient), attrs.beta2);
    const change = emitter.zip('divide', emitter.zip('multiply', m, step), emitter.zip('add', emitter.map('sqrt', [v]), epsilon));
    set(attrs.m, m);
    set(attrs.v, v);
    set(attrs.variable, emitter.zip('subtract', get(attrs.variable), change));
    return token(emitter);
  },
  group: ({ emitter }) => token(emitter),
};
