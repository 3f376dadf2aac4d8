/** Effects on variables, in place wherever TensorFlow supports it. */
import type { OpName } from '../../../graph/attributes.ts';
import type { Node } from '../../../graph/node-store.ts';
import { atLeast } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import { inputAt, type LoweringContext, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

const MOVES: ReadonlySet<OpName> = new Set(['cast', 'transpose', 'slice', 'pad', 'concat', 'broadcast', 'gather']);
const SIMPLIFIABLE: ReadonlySet<OpName> = new Set(['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'select']);

/**
 * Returns true if the buffer of this value could belong to a feed, a constant or another variable. TensorFlow adopts the buffer that it
 * assigns, and its graph optimizer replaces x·1, x + 0 and no-op moves by x; a later in-place update would then change both.
 */
function mayShareBuffer(node: Node): boolean {
  if (node.op === 'feed' || node.op === 'constant' || node.op === 'read') return true;
  if (node.op === 'reshape') return mayShareBuffer(inputAt({ node }, 0));
  return MOVES.has(node.op) || isStatic(node) || (SIMPLIFIABLE.has(node.op) && node.inputs.some(isStatic));
}

/** Returns true if the value depends only on constants, so that TensorFlow folds it into one. */
const isStatic = (node: Node): boolean => node.op === 'constant' || (node.inputs.length > 0 && node.inputs.every(isStatic));

function ownBuffer(emitter: Emitter, value: string, node: Node): string {
  return mayShareBuffer(node) ? emitter.emit('DeepCopy', [value], { T: attr.type(node.dtype) }) : value;
}

/** Marks that an effect has no output: its token is created when something reads it. */
function done(_: string): undefined {
  return undefined;
}

type Variable = Pick<
  LoweringContext<'updateRows' | 'updateElements' | 'updateColumns'>,
  'emitter' | 'attrs' | 'handle' | 'variableType' | 'hasColumns'
>;

/** Returns an alias of the buffer: a fresh read. Never uses ResourceScatter*, which makes every later read copy the whole variable. */
function aliasOf({ emitter, attrs, handle, variableType }: Variable) {
  const T = attr.type(variableType(attrs.variable));
  return { alias: emitter.emit('ReadVariableOp', [handle(attrs.variable)], { dtype: T }), T };
}

const flat = (emitter: Emitter, x: string, T: ReturnType<typeof attr.type>): string =>
  emitter.emit('Reshape', [x, emitter.ints([-1])], { T, Tshape: attr.type('int32') });

/** Writes elements one after the other, in one thread: 20 ns each. A reshaped alias has the same buffer, as one flat vector. */
function writeElements(variable: Variable, places: string, values: string): undefined {
  const { alias, T } = aliasOf(variable);
  return done(variable.emitter.emit('InplaceUpdate', [flat(variable.emitter, alias, T), places, values], { T }));
}

/**
 * Writes columns with the kernel of `native/kernels/columns.h`, on all threads.
 * @param width of a row; 0 writes single elements of the variable
 */
function writeColumns(variable: Variable, width: number, numbers: string, values: string): undefined {
  const { alias, T } = aliasOf(variable);
  return done(variable.emitter.emit('RowtuneUpdateColumns', [alias, numbers, values], { T, width: attr.int(width) }));
}

export const effectLowerings = {
  assign: ({ emitter, inputs: [value = ''], node, attrs, handle }) => {
    const source = inputAt({ node }, 0);
    return done(
      emitter.emit('AssignVariableOp', [handle(attrs.variable), ownBuffer(emitter, value, source)], { dtype: attr.type(source.dtype) }),
    );
  },
  assignAdd: ({ emitter, inputs: [value = ''], attrs, handle, variableType }) =>
    done(emitter.emit('AssignAddVariableOp', [handle(attrs.variable), value], { dtype: attr.type(variableType(attrs.variable)) })),
  updateRows: context => {
    const [rows = '', values = ''] = context.inputs;
    const { alias, T } = aliasOf(context);
    return done(context.emitter.emit('InplaceUpdate', [alias, rows, values], { T }));
  },
  updateElements: context => {
    const [places = '', values = ''] = context.inputs;
    return context.hasColumns ? writeColumns(context, 0, places, values) : writeElements(context, places, values);
  },
  updateColumns: context => {
    const { emitter, node, attrs } = context;
    const [columns = '', values = ''] = context.inputs;
    if (context.hasColumns) return writeColumns(context, attrs.width, columns, values);
    const [rows, count] = atLeast(inputAt({ node }, 1).shape, 2);
    const starts = emitter.constant(
      Int32Array.from({ length: rows }, (_, row) => row * attrs.width),
      [rows, 1],
      'int32',
    );
    const T = attr.type('int32');
    const each = emitter.emit('Reshape', [columns, emitter.ints([1, count])], { T, Tshape: T });
    const places = flat(emitter, emitter.emit('AddV2', [starts, each], { T }), T);
    return writeElements(context, places, flat(emitter, values, attr.type(context.variableType(attrs.variable))));
  },
  adam: ({ emitter, inputs: [gradient = '', rate = '', beta1Power = '', beta2Power = '', epsilon = ''], attrs, handle, variableType }) => {
    const scalar = (value: number) => emitter.constant(Float32Array.of(value), [], 'float32');
    const state = [attrs.variable, attrs.m, attrs.v].map(handle);
    const rates = [beta1Power, beta2Power, rate, scalar(attrs.beta1), scalar(attrs.beta2), epsilon];
    return done(
      emitter.emit('ResourceApplyAdam', [...state, ...rates, gradient], {
        T: attr.type(variableType(attrs.variable)),
        use_locking: attr.bool(false),
        use_nesterov: attr.bool(false),
      }),
    );
  },
  group: () => undefined,
} satisfies Partial<LoweringTable>;
