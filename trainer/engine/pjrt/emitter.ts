/** Writes one function of a StableHLO module, one line per operation. Result shapes are computed here, so kernels do not state them. */

import { broadcastShapes, type HostArray, type Shape, sameShape } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import { type HloType, isFloating, lowest, numberText, tensorType, type Value, valuesText } from './hlo-type.ts';

export type Reducer = 'add' | 'maximum' | 'minimum' | 'and' | 'or';

export interface DotAxes {
  readonly batch: readonly (readonly [number, number])[];
  readonly contracted: readonly [number, number];
}

export interface ScatterAxes {
  /** How an update is combined with the element that its index names on the operand's first axis. */
  readonly combine: 'add' | 'replace';
  /** True if no two indices are equal. */
  readonly unique: boolean;
  /** True if a device may add updates with equal indices in any order, which would change the bits of the result. */
  readonly isUnordered?: boolean;
}

export interface LoopInputs {
  readonly count: number;
  /** Initial state of the first iteration. */
  readonly state: readonly Value[];
  /** Other values that iterations use. */
  readonly read: readonly Value[];
}

/** Writes one iteration into the emitter `inside`. @returns the next state, of the same types */
export type LoopStep = (given: {
  readonly inside: Emitter;
  /** Index of the iteration: i32 []. */
  readonly i: Value;
  readonly state: readonly Value[];
  readonly read: readonly Value[];
}) => readonly Value[];

export class Emitter {
  readonly lines: string[] = [];
  /** True once an operation adds in an order that a device may choose anew each time. */
  isUnordered = false;
  private readonly constants = new Map<string, Value>();
  private readonly prefix: string;
  private count = 0;

  constructor(prefix = '') {
    this.prefix = prefix;
  }

  /** Adds an operation in any MLIR syntax: `operation` is the right-hand side of the assignment. */
  emit(shape: Shape, type: HloType, operation: string): Value {
    const value = { name: `%${this.prefix}${this.count++}`, shape, type };
    this.lines.push(`${value.name} = ${operation}`);
    return value;
  }

  /** Adds an operation on values of the same shape, which is also the result's. */
  map(op: string, inputs: readonly Value[], type = elementAt(inputs, 0).type): Value {
    const { shape } = elementAt(inputs, 0);
    return this.emit(shape, type, `stablehlo.${op} ${namesOf(inputs)} : ${functionType(inputs, { shape, type })}`);
  }

  /** Adds an operation on two values that are broadcast to one shape. */
  zip(op: string, a: Value, b: Value): Value {
    const shape = broadcastShapes(a.shape, b.shape);
    return this.map(op, [this.stretch(a, shape), this.stretch(b, shape)]);
  }

  compare(direction: 'EQ' | 'NE' | 'LT' | 'GE', a: Value, b: Value): Value {
    const shape = broadcastShapes(a.shape, b.shape);
    const inputs = [this.stretch(a, shape), this.stretch(b, shape)] as const;
    const result = { shape, type: 'i1' } as const;
    return this.emit(shape, 'i1', `stablehlo.compare ${direction}, ${namesOf(inputs)} : ${functionType(inputs, result)}`);
  }

  select(condition: Value, a: Value, b: Value): Value {
    const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape));
    const inputs = [condition, a, b].map(each => this.stretch(each, shape));
    const { type } = a;
    return this.emit(shape, type, `stablehlo.select ${namesOf(inputs)} : ${functionType(inputs, { shape, type })}`);
  }

  convert(x: Value, type: HloType): Value {
    return x.type === type ? x : this.map('convert', [x], type);
  }

  /** Reinterprets the bits as another type of the same width. */
  bitcast(x: Value, type: HloType): Value {
    return this.map('bitcast_convert', [x], type);
  }

  constant(values: HostArray, shape: Shape, type: HloType): Value {
    return this.known(shape, type, valuesText(values, shape, type));
  }

  /** Returns a tensor filled with one value. */
  fill(value: number, type: HloType, shape: Shape = []): Value {
    return this.known(shape, type, numberText(value, type));
  }

  /** Returns 0, 1, 2 … along one axis. */
  iota(shape: Shape, axis: number, type: HloType): Value {
    return this.emit(shape, type, `stablehlo.iota dim = ${axis} : ${tensorType({ shape, type })}`);
  }

  reshape(x: Value, shape: Shape): Value {
    return sameShape(x.shape, shape) ? x : this.moved('reshape', x, shape, '');
  }

  transpose(x: Value, perm: readonly number[]): Value {
    if (perm.every((axis, i) => axis === i)) return x;
    const shape = perm.map(axis => x.shape[axis] as number);
    return this.moved('transpose', x, shape, `, dims = [${perm.join(', ')}]`);
  }

  /** Broadcasts as NumPy does: axes align at the right, and sizes of 1 stretch. */
  stretch(x: Value, shape: Shape): Value {
    if (sameShape(x.shape, shape)) return x;
    return this.spread(
      x,
      shape,
      x.shape.map((_, i) => shape.length - x.shape.length + i),
    );
  }

  /** Broadcasts x. @param axes position of each axis of x in `shape` */
  spread(x: Value, shape: Shape, axes: readonly number[]): Value {
    return this.moved('broadcast_in_dim', x, shape, `, dims = [${axes.join(', ')}]`);
  }

  slice(x: Value, begin: readonly number[], size: readonly number[], strides?: readonly number[]): Value {
    const parts = size.map((n, i) => {
      const step = strides?.[i] ?? 1;
      const from = begin[i] as number;
      return step === 1 ? `${from}:${from + n}` : `${from}:${from + (n - 1) * step + 1}:${step}`;
    });
    return this.emit(size, x.type, `stablehlo.slice ${x.name} [${parts.join(', ')}] : ${functionType([x], { shape: size, type: x.type })}`);
  }

  pad(x: Value, before: readonly number[], after: readonly number[], value: Value): Value {
    const shape = x.shape.map((n, i) => n + (before[i] as number) + (after[i] as number));
    const [low, high] = [before.join(', '), after.join(', ')];
    const interior = x.shape.map(() => 0).join(', ');
    return this.emit(
      shape,
      x.type,
      `stablehlo.pad ${namesOf([x, value])}, low = [${low}], high = [${high}], interior = [${interior}] : ${functionType([x, value], { shape, type: x.type })}`,
    );
  }

  concat(parts: readonly Value[], axis: number): Value {
    const first = elementAt(parts, 0);
    const total = parts.reduce((n, { shape }) => n + (shape[axis] as number), 0);
    const shape = first.shape.map((n, i) => (i === axis ? total : n));
    const { type } = first;
    return this.emit(shape, type, `stablehlo.concatenate ${namesOf(parts)}, dim = ${axis} : ${functionType(parts, { shape, type })}`);
  }

  reverse(x: Value, axes: readonly number[]): Value {
    return this.emit(x.shape, x.type, `stablehlo.reverse ${x.name}, dims = [${axes.join(', ')}] : ${tensorType(x)}`);
  }

  /** Reduces over axes, which are removed. */
  reduce(op: Reducer, x: Value, axes: readonly number[]): Value {
    const shape = x.shape.filter((_, i) => !axes.includes(i));
    const start = this.known([], x.type, startOf(op, x.type));
    const operation = `stablehlo.reduce(${x.name} init: ${start.name}) applies stablehlo.${op} across dimensions = [${axes.join(', ')}]`;
    return this.emit(shape, x.type, `${operation} : ${functionType([x, start], { shape, type: x.type })}`);
  }

  /** Sums products over one axis of each operand; batch axes come first. @param type of the result; products are added in 32 bits */
  dot(a: Value, b: Value, { batch, contracted }: DotAxes, type = a.type): Value {
    const free = (x: Value, side: 0 | 1) => x.shape.filter((_, i) => i !== contracted[side] && !batch.some(pair => pair[side] === i));
    const shape = [...batch.map(([axis]) => a.shape[axis] as number), ...free(a, 0), ...free(b, 1)];
    const sides = (side: 0 | 1) => `[${batch.map(pair => pair[side]).join(', ')}]`;
    const batching = batch.length === 0 ? '' : `, batching_dims = ${sides(0)} x ${sides(1)}`;
    const precision = a.type === 'f32' ? ', precision = [HIGHEST, HIGHEST]' : '';
    const operation = `stablehlo.dot_general ${namesOf([a, b])}${batching}, contracting_dims = [${contracted[0]}] x [${contracted[1]}]${precision}`;
    return this.emit(shape, type, `${operation} : ${functionType([a, b], { shape, type })}`);
  }

  /** Picks entries of one axis of x by int32 indices of any shape, which replaces that axis. */
  gather(x: Value, indices: Value, axis: number): Value {
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    const offsets = [...x.shape.keys()].filter(i => i !== axis).map(i => (i < axis ? i : i - 1 + indices.shape.length));
    const sizes = x.shape.map((n, i) => (i === axis ? 1 : n));
    return this.emit(
      shape,
      x.type,
      `"stablehlo.gather"(${namesOf([x, indices])}) <{dimension_numbers = #stablehlo.gather<offset_dims = [${offsets.join(', ')}], collapsed_slice_dims = [${axis}], start_index_map = [${axis}], index_vector_dim = ${indices.shape.length}>, slice_sizes = array<i64: ${sizes.join(', ')}>, indices_are_sorted = false}> : ${functionType([x, indices], { shape, type: x.type })}`,
    );
  }

  /** Writes `updates` [n, …] to the indices `indices` [n] of the first axis of x; out-of-range indices are skipped. */
  scatter(x: Value, indices: Value, updates: Value, { combine, unique, isUnordered = false }: ScatterAxes): Value {
    if (isUnordered) this.isUnordered = true;
    const scalar = tensorType({ shape: [], type: x.type });
    const body =
      combine === 'replace'
        ? `stablehlo.return %new : ${scalar}`
        : `%sum = stablehlo.add %old, %new : ${scalar} stablehlo.return %sum : ${scalar}`;
    const windows = x.shape.slice(1).map((_, i) => i + 1);
    return this.emit(
      x.shape,
      x.type,
      `"stablehlo.scatter"(${namesOf([x, indices, updates])}) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [${windows.join(', ')}], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, indices_are_sorted = false, unique_indices = ${unique}}> ({ ^bb0(%old: ${scalar}, %new: ${scalar}): ${body} }) : ${functionType([x, indices, updates], x)}`,
    );
  }

  /** Returns the sum over all devices that run the program, identical on each. */
  sumOverReplicas(x: Value, replicas: number): Value {
    const scalar = tensorType({ shape: [], type: x.type });
    const group = Array.from({ length: replicas }, (_, i) => i).join(', ');
    const body = `%sum = stablehlo.add %a, %b : ${scalar} stablehlo.return %sum : ${scalar}`;
    return this.emit(
      x.shape,
      x.type,
      `"stablehlo.all_reduce"(${x.name}) <{replica_groups = dense<[[${group}]]> : tensor<1x${replicas}xi64>}> ({ ^bb0(%a: ${scalar}, %b: ${scalar}): ${body} }) : ${functionType([x], x)}`,
    );
  }

  /** Returns the index of the device among those that run the program, ui32. */
  replica(): Value {
    return this.emit([], 'ui32', 'stablehlo.replica_id : tensor<ui32>');
  }

  /** Returns `size` entries of the first axis of x, from a computed index. */
  sliceAt(x: Value, begin: Value, size: number): Value {
    const result = { shape: [size, ...x.shape.slice(1)], type: x.type };
    const starts = this.startsAt(x, begin);
    const operation = `stablehlo.dynamic_slice ${namesOf([x, ...starts])}, sizes = [${result.shape.join(', ')}]`;
    return this.emit(result.shape, x.type, `${operation} : ${functionType([x, ...starts], result)}`);
  }

  /** Replaces entries of the first axis of x by those of `part`, from a computed index. */
  replaceAt(x: Value, part: Value, begin: Value): Value {
    const inputs = [x, part, ...this.startsAt(x, begin)];
    return this.emit(x.shape, x.type, `stablehlo.dynamic_update_slice ${namesOf(inputs)} : ${functionType(inputs, x)}`);
  }

  /**
   * Runs `count` iterations, each of which computes a new state from the previous one. The compiler knows the count, so a device need not
   * ask the host after each iteration whether to continue.
   * @returns the state after the last iteration
   */
  loop({ count, state, read }: LoopInputs, step: LoopStep): Value[] {
    const id = `w${this.prefix}${this.count++}`;
    const started = [this.fill(0, 'i32'), ...state, ...read];
    const [i, ...carried] = started.map(({ shape, type }, k) => ({ name: `%${id}_${k}`, shape, type })) as [Value, ...Value[]]; // same length as started
    const fixed = carried.slice(state.length);
    const condition = new Emitter(`${id}c`);
    const isBelow = condition.compare('LT', i, condition.fill(count, 'i32'));
    const body = new Emitter(`${id}b`);
    const next = [...step({ inside: body, i, state: carried.slice(0, state.length), read: fixed }), ...fixed];
    const results = [body.zip('add', i, body.fill(1, 'i32')), ...next];
    this.isUnordered ||= body.isUnordered;
    const types = started.map(tensorType).join(', ');
    const bound = [i, ...carried].map((each, k) => `${each.name} = ${elementAt(started, k).name}`).join(', ');
    const conditionText = `cond { ${condition.lines.join(' ')} stablehlo.return ${isBelow.name} : tensor<i1> }`;
    const bodyText = `do { ${body.lines.join(' ')} stablehlo.return ${namesOf(results)} : ${types} }`;
    this.lines.push(`%${id}:${started.length} = stablehlo.while(${bound}) : ${types} ${conditionText} ${bodyText}`);
    return state.map(({ shape, type }, k) => ({ name: `%${id}#${k + 1}`, shape, type }));
  }

  /** Returns values that the compiler can neither share with others nor compute before all of these are available. */
  barrier(values: readonly Value[]): Value[] {
    const results = values.map(({ shape, type }) => ({ name: `%${this.prefix}${this.count++}`, shape, type }));
    const types = values.map(tensorType).join(', ');
    this.lines.push(`${namesOf(results)} = stablehlo.optimization_barrier ${namesOf(values)} : ${types}`);
    return results;
  }

  /**
   * Returns x (with −0 turned into 0), available only after all of `earlier`: XLA does not assume that 0 times a value is 0. It does for
   * integers, so the 0 is computed in floating point.
   */
  after(x: Value, earlier: readonly Value[]): Value {
    const type = isFloating(x.type) ? x.type : 'f32';
    const waited = earlier.map(each => {
      const one = this.slice(
        each,
        each.shape.map(() => 0),
        each.shape.map(() => 1),
      );
      return this.convert(this.zip('multiply', this.convert(this.reshape(one, []), type), this.fill(0, type)), x.type);
    });
    return waited.reduce((sum, each) => this.zip('add', sum, each), x);
  }

  /** Calls a library of the device, with row-major inputs and results. @param config as the library's own JSON */
  call(target: string, inputs: readonly Value[], results: readonly Pick<Value, 'shape' | 'type'>[], config: unknown): Value[] {
    const id = `%${this.prefix}${this.count++}`;
    const layouts = (all: readonly Pick<Value, 'shape'>[]): string =>
      all.map(({ shape }) => `dense<[${shape.map((_, i) => shape.length - 1 - i).join(', ')}]> : tensor<${shape.length}xindex>`).join(', ');
    const attributes = [
      'api_version = 2 : i32',
      `backend_config = ${JSON.stringify(JSON.stringify(config))}`,
      `operand_layouts = [${layouts(inputs)}]`,
      `result_layouts = [${layouts(results)}]`,
    ];
    const types = `(${inputs.map(tensorType).join(', ')}) -> (${results.map(tensorType).join(', ')})`;
    this.lines.push(`${id}:${results.length} = stablehlo.custom_call @${target}(${namesOf(inputs)}) {${attributes.join(', ')}} : ${types}`);
    return results.map(({ shape, type }, i) => ({ name: `${id}#${i}`, shape, type }));
  }

  /** Moves a value to another memory of the device (`memory-kinds.ts`). */
  place(x: Value, kind: string): Value {
    const attributes = `{has_side_effect = true, mhlo.frontend_attributes = {_xla_buffer_placement = "${kind}"}}`;
    return this.emit(
      x.shape,
      x.type,
      `stablehlo.custom_call @annotate_device_placement(${x.name}) ${attributes} : ${functionType([x], x)}`,
    );
  }

  /** Returns the start index on each axis: `begin` on the first, 0 on the others. */
  private startsAt(x: Value, begin: Value): Value[] {
    return x.shape.map((_, axis) => (axis === 0 ? begin : this.fill(0, begin.type)));
  }

  private moved(op: string, x: Value, shape: Shape, attributes: string): Value {
    return this.emit(shape, x.type, `stablehlo.${op} ${x.name}${attributes} : ${functionType([x], { shape, type: x.type })}`);
  }

  private known(shape: Shape, type: HloType, text: string): Value {
    const full = tensorType({ shape, type });
    const key = `${full} ${text}`;
    const found = this.constants.get(key);
    if (found) return found;
    const made = this.emit(shape, type, `stablehlo.constant dense<${text}> : ${full}`);
    this.constants.set(key, made);
    return made;
  }
}

export const namesOf = (values: readonly Value[]): string => values.map(({ name }) => name).join(', ');

export const functionType = (inputs: readonly Value[], result: Pick<Value, 'shape' | 'type'>): string =>
  `(${inputs.map(tensorType).join(', ')}) -> ${tensorType(result)}`;

function startOf(op: Reducer, type: HloType): string {
  switch (op) {
    case 'add':
      return numberText(0, type);
    case 'maximum':
      return lowest(type);
    case 'minimum':
      return type === 'i32' ? '2147483647' : numberText(Number.POSITIVE_INFINITY, type);
    case 'and':
      return 'true';
    case 'or':
      return 'false';
  }
}
