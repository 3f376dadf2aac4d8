/** How an engine holds weights and in which type it computes products: the seam between a model and its precision. */

import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { byteSize, toBfloat16 } from '../graph/types.ts';
import type { StoredValues, WeightCoder } from '../graph/weight-coder.ts';
import { required } from '../narrow.ts';
import { encodeInt8, int8Variables } from './int8.ts';
import { javascriptCoder } from './javascript-coder.ts';
import type { ExpertsSpec, ModuleSpec, ParameterSpec } from './module-specs.ts';
import { encodeNf4, nf4Variables, readNf4 } from './nf4.ts';
import { columnProduct, narrowed, product, readAs } from './product.ts';

/** The element type of products; norms, softmax, losses and sums over blocks are float32. */
export type ComputeType = 'float32' | 'bfloat16';
/** The form of the frozen linear layers; `none`: the same type as products. */
export type Quantization = 'none' | 'int8' | 'nf4';

export interface Precision {
  readonly dtype: ComputeType;
  readonly quantize: Quantization;
  /** True to compute attention with a fused kernel of the device where it supports the form; in chunks by default. */
  readonly fusesAttention?: boolean;
}

export const FLOAT32: Precision = { dtype: 'float32', quantize: 'none' };

/** Rows or columns of a quantized weight that are held separately in float32; in the weight itself they are 0. */
export interface FloatPart {
  readonly unit: 'rows' | 'columns';
  /** int32 [r], the chosen rows or columns. */
  readonly chosen: VariableSpec;
  readonly indices: Int32Array;
  /** float32 [r, in] for rows, [out, r] for columns. */
  readonly values: VariableSpec;
  /** int32 [out] for rows, [in] for columns: the index of each among the chosen ones, or r. */
  readonly places: VariableSpec;
}

export interface WeightStorageParams {
  readonly precision: Precision;
  /** The parameters of the model. */
  readonly parameters: readonly ParameterSpec[];
  /** Names of the weights that are quantized. */
  readonly quantized: ReadonlySet<string>;
  /** The float parts, by the weight's name. */
  readonly floatParts: ReadonlyMap<string, FloatPart>;
}

export class WeightStorage {
  readonly compute: ComputeType;
  private readonly params: WeightStorageParams;
  private readonly byName: ReadonlyMap<string, ParameterSpec>;

  constructor(params: WeightStorageParams) {
    this.params = params;
    this.byName = new Map(params.parameters.map(spec => [spec.name, spec]));
    this.compute = params.precision.dtype;
  }

  get fusesAttention(): boolean {
    return this.params.precision.fusesAttention ?? false;
  }

  /** The form of a parameter: matrices and filters have the type of products; vectors, tables of images and buffers are float32. */
  formOf(spec: ParameterSpec): ComputeType | Exclude<Quantization, 'none'> {
    const { precision, quantized } = this.params;
    const { name, shape, buffer } = spec;
    if (precision.quantize !== 'none' && quantized.has(name)) return precision.quantize;
    return (shape.length === 2 || shape.length === 4) && !buffer ? this.computeOf(spec) : 'float32';
  }

  /** The element type of products with this weight. */
  computeOf({ float32 }: ParameterSpec): ComputeType {
    return float32 ? 'float32' : this.compute;
  }

  /** The variables that hold a parameter. */
  variables(spec: ParameterSpec): VariableSpec[] {
    const { name, shape } = spec;
    const form = this.formOf(spec);
    switch (form) {
      case 'int8':
        return Object.values(int8Variables(name, shape));
      case 'nf4':
        return Object.values(nf4Variables(name, shape));
      default:
        return [{ name, shape, dtype: form }];
    }
  }

  /** Yields the values of these variables, converted from the parameter's, which are float32 or bfloat16 bits, depending on the file. */
  async *encode(value: VariableData, coder: WeightCoder = javascriptCoder): AsyncGenerator<VariableData> {
    const { name, data: values } = value;
    const spec = this.byName.get(name);
    const form = spec ? this.formOf(spec) : 'float32';
    if (!(values instanceof Float32Array || values instanceof Uint16Array)) yield value;
    else if (form === 'float32' && (values instanceof Float32Array || !coder.widen)) yield value;
    else if (form === 'bfloat16' && values instanceof Uint16Array) yield value;
    else {
      yield* this.encodeAs(form, { name, data: values }, coder);
      value.release?.();
    }
  }

  /** Encodes into new memory. */
  private async *encodeAs(
    form: ReturnType<WeightStorage['formOf']>,
    { name, data: values }: { readonly name: string; readonly data: StoredValues },
    coder: WeightCoder,
  ): AsyncGenerator<VariableData> {
    if (values instanceof Uint16Array && form === 'float32')
      yield { name, data: await required(coder.widen, 'a coder that widens')(values) };
    else if (values instanceof Float32Array && form === 'bfloat16') yield { name, data: toBfloat16(values) };
    else if (form === 'int8' || form === 'nf4') {
      const { shape } = required(this.byName.get(name), name);
      const part = this.params.floatParts.get(name);
      const frozen = part ? zeroUnits(values.slice(), shape[0] ?? 1, part) : values;
      yield* form === 'int8' ? encodeInt8({ name, shape }, frozen, coder) : encodeNf4({ name, shape }, frozen, coder);
    }
  }

  /** The weight in its stored form. A quantized weight is dequantized to float32 again at each use. */
  weight(graph: Graph, spec: ParameterSpec): Node {
    const { name, shape } = spec;
    const form = this.formOf(spec);
    if (form === 'float32' || form === 'bfloat16') return graph.read({ name, shape, dtype: form });
    return graph.within({ transient: true }, () => {
      if (form === 'nf4') return readNf4(graph, name, shape);
      const { codes, scales } = int8Variables(name, shape);
      const column = graph.reshape(graph.read(scales), [shape[0] as number, ...shape.slice(1).map(() => 1)]);
      return graph.mul(graph.cast(graph.read(codes), 'float32'), column);
    });
  }

  /** x [rows, in] · Wᵀ [rows, out], float32. @param columns int32 [c], the columns of W that are trained in place, if any */
  linear(graph: Graph, x: Node, spec: ParameterSpec, columns?: Node): Node {
    if (columns) return this.columnsProduct(graph, x, spec, columns);
    const narrow = graph.cast(x, this.computeOf(spec));
    const y = this.frozenProduct(graph, narrow, spec);
    const part = this.params.floatParts.get(spec.name);
    if (!part) return y;
    // Both products read the same narrow x, so that their gradients are added in its type.
    const own = part.unit === 'rows' ? productOfRows(graph, narrow, part) : productOfColumns(graph, narrow, part);
    return graph.add(y, graph.cast(own, 'float32'));
  }

  /** x [rows, in] multiplied by the matrix of each assignment's expert → [assignments, out], float32. */
  experts(graph: Graph, x: Node, { weight, experts }: ExpertsSpec, ids: Node): Node {
    const stack = graph.within({ transient: true }, () => graph.cast(this.weight(graph, weight), this.compute));
    return graph.cast(graph.expertProduct(graph.cast(x, this.compute), stack, ids, { experts, transposed: false }), 'float32');
  }

  private columnsProduct(graph: Graph, x: Node, spec: ParameterSpec, columns: Node): Node {
    const compute = this.computeOf(spec);
    const weight = graph.cast(this.weight(graph, spec), compute);
    return graph.cast(columnProduct(graph, graph.cast(x, compute), weight, columns), 'float32');
  }

  /** @param narrow x in the element type of products */
  private frozenProduct(graph: Graph, narrow: Node, spec: ParameterSpec): Node {
    const by = (weight: Node): Node => product(graph, narrow.dtype, narrow, narrowed(graph, weight, narrow.dtype), { transposeB: true });
    if (this.formOf(spec) !== 'int8') return by(this.weight(graph, spec));
    // One scale per row of W is one per column of the product.
    const { codes, scales } = int8Variables(spec.name, spec.shape);
    return graph.mul(by(graph.read(codes)), graph.read(scales));
  }
}

/** x [n, in] multiplied by the separate rows of W, [n, out], in the type of x: fills those columns of y for which W itself has zeros. */
function productOfRows(graph: Graph, x: Node, { chosen, values, places }: FloatPart): Node {
  const own = graph.matmul(x, readAs(graph, values, x.dtype), { transposeB: true });
  return spread(graph, own, { from: chosen, to: places });
}

/**
 * x [n, in] multiplied by the separate columns of W, [n, out], in the type of x: the backward pass keeps only the columns of x that they
 * read.
 */
function productOfColumns(graph: Graph, x: Node, { chosen, values, places }: FloatPart): Node {
  const read = graph.gather(x, graph.read(chosen), -1);
  // Unused if x has no gradient, so it is declared here.
  graph.declare(places);
  read.custom = { inputs: [x], rule: ({ dy }) => [spread(graph, dy, { from: chosen, to: places })] };
  return graph.matmul(read, readAs(graph, values, x.dtype), { transposeB: true });
}

/** [n, r] → [n, all]: each column at its index among all columns, and 0 elsewhere. */
function spread(graph: Graph, own: Node, { from, to }: { readonly from: VariableSpec; readonly to: VariableSpec }): Node {
  const all = graph.gather(graph.pad(own, [0, 0], [0, 1]), graph.read(to), -1);
  const chosen = graph.read(from);
  all.custom = { inputs: [own], rule: ({ dy }) => [graph.gather(dy, chosen, -1)] };
  return all;
}

/** Stores and computes everything in float32. */
export const FLOAT32_STORAGE = new WeightStorage({ precision: FLOAT32, parameters: [], quantized: new Set(), floatParts: new Map() });

/** Size in bytes of all parameters in their stored forms. */
export const weightBytes = ({ parameters }: { readonly parameters: readonly ParameterSpec[] }, storage = FLOAT32_STORAGE): number =>
  parameters.flatMap(spec => storage.variables(spec)).reduce((sum, variable) => sum + byteSize(variable), 0);

/** The weights of linear layers except heads and routers: the ones that are quantized unless they are trained whole. */
export const quantizable = ({ modules }: { readonly modules: readonly ModuleSpec[] }): string[] =>
  modules.filter(({ kind, part }) => kind === 'linear' && part !== 'head' && part !== 'router').map(({ weight }) => weight.name);

/** Sets rows or columns of a weight to zero in place. @param values [rows, …] flattened */
export function zeroUnits<Values extends StoredValues>(
  values: Values,
  rows: number,
  { unit, indices }: Pick<FloatPart, 'unit' | 'indices'>,
): Values {
  const width = values.length / rows;
  if (unit === 'rows') for (const row of indices) values.fill(0, row * width, (row + 1) * width);
  else for (let begin = 0; begin < values.length; begin += width) for (const column of indices) values[begin + column] = 0;
  return values;
}

/** Copies the same rows or columns from other values, in place. */
export function copyUnits(
  values: Float32Array,
  from: Float32Array,
  rows: number,
  { unit, indices }: Pick<FloatPart, 'unit' | 'indices'>,
): Float32Array {
  const width = values.length / rows;
  if (unit === 'rows') for (const row of indices) values.set(from.subarray(row * width, (row + 1) * width), row * width);
  else
    for (let begin = 0; begin < values.length; begin += width)
      for (const column of indices) values[begin + column] = from[begin + column] as number;
  return values;
}

/**
 * Parameters in load order: largest stored size first, otherwise in their given order. A parameter is in memory twice while it loads, so
 * the largest ones load while little else is loaded.
 */
export function largestFirst(parameters: readonly ParameterSpec[], storage = FLOAT32_STORAGE): ParameterSpec[] {
  const bytesOf = (spec: ParameterSpec): number => storage.variables(spec).reduce((sum, variable) => sum + byteSize(variable), 0);
  const sized = parameters.map(spec => ({ spec, bytes: bytesOf(spec) }));
  return sized.sort((a, b) => b.bytes - a.bytes).map(({ spec }) => spec);
}
