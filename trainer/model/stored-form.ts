/** Parameters that files hold in another form than the model computes with: stacks of matrices, one for each expert. */

import { elementCount, toBfloat16 } from '../graph/types.ts';
import { elementAt } from '../narrow.ts';
import type { ParameterSpec, RowRun, Stack, StoredForm } from './module-specs.ts';
import { readMxfp4 } from './mxfp4.ts';
import type { SourceTensor, WeightSource } from './weight-source.ts';

type Stacked = ParameterSpec & { readonly stack: Stack };
type Tensors = WeightSource['tensors'];

const isStacked = (spec: ParameterSpec): spec is Stacked => spec.stack !== undefined;

interface Sizes {
  readonly experts: number;
  readonly rows: number;
  /** 1 of a bias. */
  readonly width: number;
}

function sizesOf({ shape, stack: { experts } }: Stacked): Sizes {
  const [all = 1, width = 1] = shape;
  return { experts, rows: all / experts, width };
}

/** The tensors of a form, with their shapes. */
function tensorsOf(spec: Stacked, form: StoredForm): { readonly name: string; readonly shape: readonly number[] }[] {
  const { experts, rows, width } = sizesOf(spec);
  const rest = spec.shape.length > 1 ? [width] : [];
  switch (form.kind) {
    case 'apart':
      return form.names.map(name => ({ name, shape: [rows, ...rest] }));
    case 'rows':
      return [{ name: form.name, shape: [experts, form.every, ...rest] }];
    case 'turned':
      return [{ name: form.name, shape: [experts, width, rows] }];
    case 'woven':
      return form.names.map(name => ({ name, shape: [experts, rows / 2, ...rest] }));
    case 'runs':
      return [...new Set(form.parts.map(({ name }) => name))].map(name => {
        const own = form.parts.filter(part => part.name === name).reduce((sum, part) => sum + part.rows, 0);
        return { name, shape: [experts * own, ...rest] };
      });
    case 'mxfp4':
      return [
        { name: form.blocks, shape: [experts, rows, width / 32, 16] },
        { name: form.scales, shape: [experts, rows, width / 32] },
      ];
  }
}

/** The form in which a file has a parameter; undefined where it has it as the model does, or not at all. */
function formIn(spec: ParameterSpec, tensors: Tensors): StoredForm | undefined {
  if (!isStacked(spec) || tensors.get(spec.name)?.shape.join() === spec.shape.join()) return undefined;
  return spec.stack.forms.find(form => tensorsOf(spec, form).some(({ name }) => tensors.has(name)));
}

/** Every mismatch, as a sentence, of the tensors that stand for a parameter. Returns undefined where a file holds it as it is, or not at all. */
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
  const next = form.kind === 'apart' ? nextName(form.names) : undefined;
  return next !== undefined && tensors.has(next) ? [...wrong, `${next} is in the file, and ${key} is ${experts}`] : wrong;
}

/** The name that one expert more would have. */
function nextName(names: readonly string[]): string | undefined {
  const [first = '', last = ''] = [names[0], names.at(-1)];
  const parts = first.split('.');
  const at = last.split('.').findIndex((part, i) => part === String(names.length - 1) && parts[i] === '0');
  return at < 0 ? undefined : parts.map((part, i) => (i === at ? String(names.length) : part)).join('.');
}

/** A source that also gives, by the model's names, tensors that the file holds in another form: one expert's part is in memory together with the whole. */
export function withStacks(parameters: readonly ParameterSpec[], source: WeightSource): WeightSource {
  const held = new Map(
    parameters.flatMap(spec => {
      const form = formIn(spec, source.tensors);
      return form && isStacked(spec) ? [[spec.name, { spec, form }] as const] : [];
    }),
  );
  if (held.size === 0) return source;
  return {
    ...source,
    tensors: new Map([...source.tensors, ...[...held].map(([name, found]) => [name, wholeOf(found, source.tensors)] as const)]),
    readFloat32: async (name, memory) => {
      const found = held.get(name);
      if (!found) return source.readFloat32(name, memory);
      const out = new Float32Array(elementCount(found.spec.shape));
      for (let expert = 0; expert < found.spec.stack.experts; expert++) {
        const part = await readExpert(found.spec, found.form, expert, source);
        out.set(part, expert * part.length);
      }
      return out;
    },
    // Rounded as the whole would be when it is loaded.
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

/** The tensor that those of a form are together. */
function wholeOf({ spec, form }: { readonly spec: Stacked; readonly form: StoredForm }, tensors: Tensors): SourceTensor {
  const byteLength = tensorsOf(spec, form).reduce((sum, { name }) => sum + (tensors.get(name)?.byteLength ?? 0), 0);
  return { shape: spec.shape, ...(byteLength > 0 && { byteLength }) };
}

/** One expert's rows [rows, width]. */
async function readExpert(spec: Stacked, form: StoredForm, expert: number, source: WeightSource): Promise<Float32Array> {
  const { rows, width } = sizesOf(spec);
  const part = async (name: string, begin: number, own = rows): Promise<Float32Array> =>
    (await source.readPart?.(name, begin, own * width)) ?? (await source.readFloat32(name)).slice(begin, begin + own * width);
  switch (form.kind) {
    case 'apart':
      return source.readFloat32(elementAt(form.names, expert));
    case 'rows':
      return part(form.name, (expert * form.every + form.begin) * width);
    case 'turned':
      return turned(await part(form.name, expert * rows * width), width, rows);
    case 'woven': {
      const half = async (name: string): Promise<Float32Array> => part(name, (expert * rows * width) / 2, rows / 2);
      return woven(await half(form.names[0]), await half(form.names[1]), width);
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
    case 'mxfp4':
      return readMxfp4(source, form, { begin: (expert * rows * width) / 32, count: (rows * width) / 32 });
  }
}

/** [rows, width] → [width, rows]. */
function turned(x: Float32Array, rows: number, width: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < width; j++) out[j * rows + i] = x[i * width + j] as number;
  return out;
}

/** The rows of both in turn. */
function woven(first: Float32Array, second: Float32Array, width: number): Float32Array {
  const out = new Float32Array(2 * first.length);
  for (let at = 0; at < first.length; at += width) {
    out.set(first.subarray(at, at + width), 2 * at);
    out.set(second.subarray(at, at + width), 2 * at + width);
  }
  return out;
}

/** A tensor of a file that is made of parameters of the model, as an export writes it. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** The parameters that have a part of it. */
  readonly parameters: readonly string[];
  /** @param read a parameter of the model */
  readonly values: (read: (name: string) => Promise<Float32Array>) => Promise<Float32Array>;
}

/**
 * The tensors of the first form whose names are all accepted, in place of a stack of experts.
 * @returns undefined for a parameter that is no stack
 * @throws Error where no form is accepted
 */
export function tensorsNamed(spec: ParameterSpec, accepts: (name: string) => boolean): readonly StoredTensor[] | undefined {
  if (!isStacked(spec)) return undefined;
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

/** The tensors of a file that hold a parameter, and whether they are blocks of four bits. */
export function heldTensors(spec: ParameterSpec, tensors: Tensors): { readonly names: readonly string[]; readonly isMxfp4: boolean } {
  const form = formIn(spec, tensors);
  if (!form || !isStacked(spec)) return { names: [spec.name], isMxfp4: false };
  return { names: tensorsOf(spec, form).map(({ name }) => name), isMxfp4: form.kind === 'mxfp4' };
}

/**
 * The tensors of an exported file that stand for parameters in another form, by their names: as the base has them, or where it has no form that
 * Transformers writes (`isForeign`: GGUF) or one of four bits, the first form of plain numbers.
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
    const held = formIn(spec, tensors);
    if (!held || !isStacked(spec)) continue;
    // Transformers has the whole.
    if (held.kind === 'runs') {
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

/** The tensors of a file in the place of which others are exported. */
export const replacedTensors = (parameters: readonly ParameterSpec[], tensors: Tensors): string[] =>
  parameters.flatMap(spec => {
    const form = formIn(spec, tensors);
    return form && isStacked(spec) ? tensorsOf(spec, form).map(({ name }) => name) : [];
  });

/** Puts a parameter's numbers where a tensor of a file has them. @param expert the place of the tensor among those of the form */
function put(out: Float32Array, spec: Stacked, form: StoredForm, expert: number, values: Float32Array): void {
  const { experts, rows, width } = sizesOf(spec);
  const size = rows * width;
  if (form.kind === 'apart') {
    out.set(values.subarray(expert * size, (expert + 1) * size));
    return;
  }
  for (let e = 0; e < experts; e++) {
    const own = values.subarray(e * size, (e + 1) * size);
    if (form.kind === 'turned') out.set(turned(own, rows, width), e * size);
    else if (form.kind === 'rows') out.set(own, (e * form.every + form.begin) * width);
    else if (form.kind === 'runs') putRuns(out, tensorsOf(spec, form)[expert]?.name, form.parts, { own, width, matrix: e });
    else if (form.kind === 'woven')
      for (let row = expert; row < rows; row += 2)
        out.set(own.subarray(row * width, (row + 1) * width), (e * rows + row - expert) * (width / 2));
  }
}

interface Matrix {
  readonly own: Float32Array;
  readonly width: number;
  /** Its place in the stack. */
  readonly matrix: number;
}

/** Puts the rows of one matrix that a tensor has where it has them. */
function putRuns(out: Float32Array, tensor: string | undefined, parts: readonly RowRun[], { own, width, matrix }: Matrix): void {
  let at = 0;
  for (const { name, begin, rows } of parts) {
    if (name === tensor) out.set(own.subarray(at * width, (at + rows) * width), (begin + matrix * rows) * width);
    at += rows;
  }
}
