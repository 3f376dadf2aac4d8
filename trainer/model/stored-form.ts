/** Parameters that files store in a form that differs from the model's: stacks of matrices, one per expert, and transposed matrices. */

import { dimensions, elementCount, toBfloat16 } from '../graph/types.ts';
import { elementAt } from '../narrow.ts';
import { isTransposed, type ParameterSpec, type RowRun, type Stack, type StoredForm } from './module-specs.ts';
import { readMxfp4 } from './mxfp4.ts';
import { transpose } from './transpose.ts';
import type { Memory, SourceTensor, WeightSource } from './weight-source.ts';

type Stacked = ParameterSpec & { readonly stack: Stack };
type Tensors = WeightSource['tensors'];

/** A parameter and the form in which a file stores it. */
interface Held {
  readonly spec: Stacked;
  readonly form: StoredForm;
}

const isStacked = (spec: ParameterSpec): spec is Stacked => spec.stack !== undefined;

interface Sizes {
  readonly experts: number;
  readonly rows: number;
  /** Number of elements per row; 1 for a bias. */
  readonly width: number;
}

function sizesOf({ shape, stack: { experts } }: Stacked): Sizes {
  const [all = 1, ...rest] = shape;
  return { experts, rows: all / experts, width: elementCount(rest) };
}

/** The tensors of a form, with their shapes. */
function tensorsOf(spec: Stacked, form: StoredForm): { readonly name: string; readonly shape: readonly number[] }[] {
  const { experts, rows, width } = sizesOf(spec);
  const rest = spec.shape.slice(1);
  switch (form.kind) {
    case 'separate':
      return form.names.map(name => ({ name, shape: [rows, ...rest] }));
    case 'rows':
      return [{ name: form.name, shape: [experts, form.every, ...rest] }];
    case 'slice':
      return [{ name: form.name, shape: [form.every, ...rest] }];
    case 'transposed':
      return [{ name: form.name, shape: [experts, width, form.every ?? rows] }];
    case 'matrix':
      return [{ name: form.name, shape: [width, rows] }];
    case 'interleaved':
      return form.names.map(name => ({ name, shape: [experts, rows / 2, ...rest] }));
    case 'runs':
      return [...new Set(form.parts.map(({ name }) => name))].map(name => {
        const own = form.parts.filter(part => part.name === name).reduce((sum, part) => sum + part.rows, 0);
        return { name, shape: [experts * own, ...rest] };
      });
    case 'heads':
      return [
        { name: form.keys, shape: [experts, width, form.keyRows] },
        { name: form.values, shape: [experts, rows - form.keyRows, width] },
      ];
    case 'mxfp4':
      return [
        { name: form.blocks, shape: [experts, rows, width / 32, 16] },
        { name: form.scales, shape: [experts, rows, width / 32] },
      ];
  }
}

/** The form in which a file stores a parameter; undefined if it stores the parameter as the model uses it, or not at all. */
function formIn(spec: ParameterSpec, tensors: Tensors): StoredForm | undefined {
  if (!isStacked(spec)) return undefined;
  const own = tensors.get(spec.name);
  if (own?.isConverted || (!isTransposed(spec) && own?.shape.join() === spec.shape.join())) return undefined;
  const { forms } = spec.stack;
  const fits = (form: StoredForm) => tensorsOf(spec, form).every(({ name, shape }) => tensors.get(name)?.shape.join() === shape.join());
  return forms.find(fits) ?? forms.find(form => tensorsOf(spec, form).some(({ name }) => tensors.has(name)));
}

/** Every mismatch, as a sentence, of the tensors that replace a parameter; undefined if a file stores it unchanged, or not at all. */
export function stackMismatches(spec: ParameterSpec, tensors: Tensors): string[] | undefined {
  const form = formIn(spec, tensors);
  if (!form || !isStacked(spec)) return undefined;
  const { experts, key } = spec.stack;
  const wrong = tensorsOf(spec, form).flatMap(({ name, shape }) => {
    const found = tensors.get(name);
    if (!found) return [`${name} [${shape}] is missing${key === undefined ? '' : `: ${key} is ${experts}`}`];
    return found.shape.join() === shape.join()
      ? []
      : [`${name} is [${found.shape}] in the file, [${shape}] by config.json${key === undefined ? '' : ` (${key} ${experts})`}`];
  });
  const next = form.kind === 'separate' ? nextName(form.names) : undefined;
  return next !== undefined && tensors.has(next) ? [...wrong, `${next} is in the file, and ${key} is ${experts}`] : wrong;
}

/** The name that an additional expert would have. */
function nextName(names: readonly string[]): string | undefined {
  const [first = '', last = ''] = [names[0], names.at(-1)];
  const parts = first.split('.');
  const at = last.split('.').findIndex((part, i) => part === String(names.length - 1) && parts[i] === '0');
  return at < 0 ? undefined : parts.map((part, i) => (i === at ? String(names.length) : part)).join('.');
}

/**
 * A source that also provides, under the model's names, tensors that the file stores in another form, and buffers that it lacks. While it
 * reads a stack, memory holds the whole and one expert's part.
 */
export const withStacks = (parameters: readonly ParameterSpec[], source: WeightSource): WeightSource =>
  withUsual(parameters, withWholes(parameters, source));

/** A source with the usual values of buffers that the file lacks. */
function withUsual(parameters: readonly ParameterSpec[], source: WeightSource): WeightSource {
  const absent = new Map(parameters.flatMap(spec => (spec.usual && !source.tensors.has(spec.name) ? [[spec.name, spec] as const] : [])));
  if (absent.size === 0) return source;
  const { readPart, readBfloat16 } = source;
  return {
    ...source,
    tensors: new Map<string, SourceTensor>([...source.tensors, ...absent]),
    readFloat32: async (name, memory) => absent.get(name)?.usual?.() ?? source.readFloat32(name, memory),
    ...(readPart && {
      readPart: async (name: string, begin: number, count: number) =>
        absent
          .get(name)
          ?.usual?.()
          .slice(begin, begin + count) ?? readPart(name, begin, count),
    }),
    ...(readBfloat16 && {
      readBfloat16: async (name: string, memory?: Memory) => (absent.has(name) ? undefined : readBfloat16(name, memory)),
    }),
  };
}

function withWholes(parameters: readonly ParameterSpec[], source: WeightSource): WeightSource {
  const held = new Map(
    parameters.flatMap(spec => {
      const form = formIn(spec, source.tensors);
      return form && isStacked(spec) ? [[spec.name, { spec, form }] as const] : [];
    }),
  );
  if (held.size === 0) return source;
  const whole = async ({ spec, form }: Held): Promise<Float32Array> => {
    const out = new Float32Array(elementCount(spec.shape));
    for (let expert = 0; expert < spec.stack.experts; expert++) {
      const part = await readExpert(spec, form, expert, source);
      out.set(part, expert * part.length);
    }
    return out;
  };
  return {
    ...source,
    tensors: new Map([...source.tensors, ...[...held].map(([name, found]) => [name, wholeOf(found, source.tensors)] as const)]),
    readFloat32: async (name, memory) => {
      const found = held.get(name);
      return found ? whole(found) : source.readFloat32(name, memory);
    },
    readPart: async (name, begin, count) => {
      const found = held.get(name);
      if (!found) return (await source.readPart?.(name, begin, count)) ?? (await source.readFloat32(name)).slice(begin, begin + count);
      return (await whole(found)).slice(begin, begin + count);
    },
    // Rounded the way the whole tensor would be when it is loaded.
    readBfloat16: async (name, memory) => {
      const found = held.get(name);
      if (!found) return source.readBfloat16?.(name, memory);
      const out = new Uint16Array(elementCount(found.spec.shape));
      for (let expert = 0; expert < found.spec.stack.experts; expert++) {
        const part = await readExpert(found.spec, found.form, expert, source);
        out.set(toBfloat16(part), expert * part.length);
      }
      return out;
    },
  };
}

/** The tensor that the tensors of a form add up to. */
function wholeOf({ spec, form }: Held, tensors: Tensors): SourceTensor {
  const byteLength = tensorsOf(spec, form).reduce((sum, { name }) => sum + (tensors.get(name)?.byteLength ?? 0), 0);
  return { shape: spec.shape, ...(byteLength > 0 && { byteLength }), isConverted: true };
}

/** Reads one expert's rows [rows, width]. */
async function readExpert(spec: Stacked, form: StoredForm, expert: number, source: WeightSource): Promise<Float32Array> {
  const { rows, width } = sizesOf(spec);
  const part = async (name: string, begin: number, own = rows): Promise<Float32Array> =>
    (await source.readPart?.(name, begin, own * width)) ?? (await source.readFloat32(name)).slice(begin, begin + own * width);
  switch (form.kind) {
    case 'separate':
      return source.readFloat32(elementAt(form.names, expert));
    case 'rows':
    case 'slice':
      return part(form.name, (expert * form.every + form.begin) * width);
    case 'transposed': {
      const { every = rows, begin = 0 } = form;
      const all = transpose(await part(form.name, expert * every * width, every), every);
      return all.length === rows * width ? all : all.slice(begin * width, (begin + rows) * width);
    }
    case 'matrix':
      return transpose(await part(form.name, expert * rows * width), rows);
    case 'interleaved': {
      const half = async (name: string): Promise<Float32Array> => part(name, (expert * rows * width) / 2, rows / 2);
      return interleaved(await half(form.names[0]), await half(form.names[1]), width);
    }
    case 'runs': {
      const out = new Float32Array(rows * width);
      let at = 0;
      for (const run of form.parts) {
        const found = await part(run.name, (run.begin + expert * run.rows) * width, run.rows);
        out.set(found, at);
        at += found.length;
      }
      return out;
    }
    case 'heads': {
      const { keyRows } = form;
      const keys = transpose(await part(form.keys, expert * keyRows * width, keyRows), keyRows);
      const values = await part(form.values, expert * (rows - keyRows) * width, rows - keyRows);
      const out = new Float32Array(rows * width);
      out.set(keys);
      out.set(values, keys.length);
      return out;
    }
    case 'mxfp4':
      return readMxfp4(source, form, { begin: (expert * rows * width) / 32, count: (rows * width) / 32 });
  }
}

/** Interleaves the rows of both. */
function interleaved(first: Float32Array, second: Float32Array, width: number): Float32Array {
  const out = new Float32Array(2 * first.length);
  for (let at = 0; at < first.length; at += width) {
    out.set(first.subarray(at, at + width), 2 * at);
    out.set(second.subarray(at, at + width), 2 * at + width);
  }
  return out;
}

/** A tensor of an exported file that is made from parameters of the model. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** The parameters that it contains parts of. */
  readonly parameters: readonly string[];
  /** @param read reads a parameter of the model */
  readonly values: (read: (name: string) => Promise<Float32Array>) => Promise<Float32Array>;
}

/**
 * The tensors that replace a stack of experts in a GGUF file, in the first form whose names are all accepted.
 * @returns undefined for a parameter that is not a stack, or a transposed matrix, which GGUF stores as the model uses it
 * @throws Error if no form is accepted
 */
export function tensorsNamed(spec: ParameterSpec, accepts: (name: string) => boolean): readonly StoredTensor[] | undefined {
  if (!isStacked(spec) || isTransposed(spec)) return undefined;
  const form = spec.stack.forms.find(each => tensorsOf(spec, each).every(({ name }) => accepts(name)));
  if (!form) throw new Error(`no form of ${spec.name} has names that are accepted`);
  return tensorsOf(spec, form).map(({ name, shape }, place) => ({
    name,
    shape,
    parameters: [spec.name],
    values: async read => {
      const out = new Float32Array(elementCount(shape));
      put(out, spec, form, place, await read(spec.name));
      return out;
    },
  }));
}

/** The tensor of a file that stores a transposed matrix under the parameter's own name; undefined for other parameters. */
export function transposedTensor(spec: ParameterSpec): StoredTensor | undefined {
  if (!isTransposed(spec)) return undefined;
  const { name } = spec;
  const [rows, width] = dimensions(spec.shape, 2);
  return { name, shape: [width, rows], parameters: [name], values: async read => transpose(await read(name), width) };
}

/** The tensors of a file that store a parameter, and whether they are four-bit blocks. */
export function heldTensors(spec: ParameterSpec, tensors: Tensors): { readonly names: readonly string[]; readonly isMxfp4: boolean } {
  const form = formIn(spec, tensors);
  if (!form || !isStacked(spec)) return { names: [spec.name], isMxfp4: false };
  return { names: tensorsOf(spec, form).map(({ name }) => name), isMxfp4: form.kind === 'mxfp4' };
}

/**
 * The tensors that an export writes for parameters in another form, by name. They have the form of the base; if that form is four-bit or
 * not one that Transformers writes (`isForeign`: GGUF, MLX), they have the first form of plain numbers.
 */
export function storedTensors(parameters: readonly ParameterSpec[], tensors: Tensors, isForeign: boolean): Map<string, StoredTensor> {
  const found = new Map<string, { shape: readonly number[]; parts: { spec: Stacked; form: StoredForm; expert: number }[] }>();
  const wholes: StoredTensor[] = [];
  const add = (name: string, shape: readonly number[], spec: Stacked, form: StoredForm, expert = 0): void => {
    const known = found.get(name) ?? { shape, parts: [] };
    known.parts.push({ spec, form, expert });
    found.set(name, known);
  };
  for (const spec of parameters) {
    const matrix = isForeign ? transposedTensor(spec) : undefined;
    if (matrix) wholes.push(matrix);
    const held = matrix ? undefined : formIn(spec, tensors);
    if (!held || !isStacked(spec)) continue;
    // Transformers stores the whole parameter as one tensor.
    if (isForeign && ['runs', 'heads', 'slice'].includes(held.kind)) {
      wholes.push({ name: spec.name, shape: spec.shape, parameters: [spec.name], values: read => read(spec.name) });
      continue;
    }
    const form = (isForeign || held.kind === 'mxfp4' ? spec.stack.forms.find(({ kind }) => kind !== 'mxfp4') : undefined) ?? held;
    for (const [expert, { name, shape }] of tensorsOf(spec, form).entries()) add(name, shape, spec, form, expert);
  }
  const whole = wholes.map((tensor): [string, StoredTensor] => [tensor.name, tensor]);
  return new Map([
    ...whole,
    ...[...found].map(([name, { shape, parts }]): [string, StoredTensor] => [
      name,
      {
        name,
        shape,
        parameters: parts.map(({ spec }) => spec.name),
        values: async read => {
          const out = new Float32Array(elementCount(shape));
          for (const { spec, form, expert } of parts) put(out, spec, form, expert, await read(spec.name));
          return out;
        },
      },
    ]),
  ]);
}

/** The tensors of a file that an export replaces by others. */
export const replacedTensors = (parameters: readonly ParameterSpec[], tensors: Tensors): string[] =>
  parameters.flatMap(spec => {
    const form = formIn(spec, tensors);
    return form && isStacked(spec) ? tensorsOf(spec, form).map(({ name }) => name) : [];
  });

/** Copies the values of a tensor into a parameter. @param expert the index of the tensor among those of the form */
function put(out: Float32Array, spec: Stacked, form: StoredForm, expert: number, values: Float32Array): void {
  const { experts, rows, width } = sizesOf(spec);
  const size = rows * width;
  if (form.kind === 'separate') {
    out.set(values.subarray(expert * size, (expert + 1) * size));
    return;
  }
  for (let e = 0; e < experts; e++) {
    const own = values.subarray(e * size, (e + 1) * size);
    if (form.kind === 'transposed') putColumns(out, own, { expert: e, rows, width, ...form });
    else if (form.kind === 'matrix') out.set(transpose(own, width), e * size);
    else if (form.kind === 'rows' || form.kind === 'slice') out.set(own, (e * form.every + form.begin) * width);
    else if (form.kind === 'heads' && expert === 0) putColumns(out, own, { expert: e, rows: form.keyRows, width });
    else if (form.kind === 'heads') out.set(own.subarray(form.keyRows * width), e * (rows - form.keyRows) * width);
    else if (form.kind === 'runs') putRuns(out, tensorsOf(spec, form)[expert]?.name, form.parts, { own, width, matrix: e });
    else if (form.kind === 'interleaved')
      for (let row = expert; row < rows; row += 2)
        out.set(own.subarray(row * width, (row + 1) * width), (e * rows + row - expert) * (width / 2));
  }
}

/** Copies the rows of one matrix [rows, width] to columns of its part [width, every] of a tensor. */
function putColumns(
  out: Float32Array,
  own: Float32Array,
  { expert, rows, width, every = rows, begin = 0 }: { expert: number; rows: number; width: number; every?: number; begin?: number },
): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < width; column++)
      out[(expert * width + column) * every + begin + row] = own[row * width + column] as number;
}

interface Matrix {
  readonly own: Float32Array;
  readonly width: number;
  /** Its index in the stack. */
  readonly matrix: number;
}

/** Copies those rows of one matrix that the tensor contains. */
function putRuns(out: Float32Array, tensor: string | undefined, parts: readonly RowRun[], { own, width, matrix }: Matrix): void {
  let at = 0;
  for (const { name, begin, rows } of parts) {
    if (name === tensor) out.set(own.subarray(at * width, (at + rows) * width), (begin + matrix * rows) * width);
    at += rows;
  }
}
