/** Writes and reads GGUF files of factors (`general.type` is `adapter`), as `convert_lora_to_gguf.py` of llama.cpp writes them. */
import { openByteFile } from '../../format/byte-file.ts';
import type { FileLayout } from '../../format/gguf/families/gguf-family.ts';
import { f32Entry, type GgufEntry, stringEntry, u32Entry } from '../../format/gguf/gguf-entries.ts';
import { readGgufHeader } from '../../format/gguf/gguf-header.ts';
import { inFileOrder, inModelOrder } from '../../format/gguf/gguf-layout.ts';
import type { GgufTensorEntry } from '../../format/gguf/gguf-writer.ts';
import { addProduct } from '../../method/lora/add-product.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { required } from '../../narrow.ts';
import { ExportError } from '../export-error.ts';
import { quantized } from '../gguf/gguf-file.ts';
import { FILE_TYPES, ggufTypeNamed } from '../gguf/quantization.ts';
import { type Factors, rankOf } from './factors.ts';

/** The factors of one module with their position in a file. */
export interface AdapterPlace extends Factors {
  /** llama.cpp's name for the weight. */
  readonly name: string;
  readonly layout: FileLayout;
}

/** The layouts of the factors: A has the columns of the weight, and B its rows and what multiplies them. */
const ofA = ({ columns }: FileLayout): FileLayout => ({ columns });
const ofB = ({ rows, multiplier }: FileLayout): FileLayout => ({ rows, multiplier });

const ALPHA = 'adapter.lora.alpha';
const F32 = ggufTypeNamed('F32');
const [A_END, B_END] = ['.lora_a', '.lora_b'];

export interface AdapterFile {
  readonly metadata: readonly GgufEntry[];
  readonly tensors: readonly GgufTensorEntry[];
}

/** The content of the file. @param title the value of `general.name` */
export function adapterFile(places: readonly AdapterPlace[], architecture: string, title: string): AdapterFile {
  const [first] = places;
  // The file has one alpha; modules with another alpha compensate for it in their B.
  const alpha = first === undefined ? 1 : first.scale * rankOf(first);
  return {
    metadata: [
      stringEntry('general.architecture', architecture),
      stringEntry('general.type', 'adapter'),
      stringEntry('general.name', title),
      u32Entry('general.file_type', FILE_TYPES.F32),
      stringEntry('adapter.type', 'lora'),
      f32Entry(ALPHA, alpha),
    ],
    tensors: places.flatMap(place => tensorsOf(place, (place.scale * rankOf(place)) / alpha)),
  };
}

function tensorsOf({ name, a, b, layout }: AdapterPlace, factor: number): GgufTensorEntry[] {
  const data = async (values: Float32Array, columns: number): Promise<Uint8Array> => quantized(values, F32, columns);
  const columns = ({ shape }: { readonly shape: readonly number[] }): number => required(shape[1], 'the columns of a factor');
  return [
    {
      name: name + A_END,
      type: F32,
      shape: a.shape,
      data: async () => data(inFileOrder(await a.values(), a.shape, ofA(layout)), columns(a)),
    },
    {
      name: name + B_END,
      type: F32,
      shape: b.shape,
      data: async () => {
        const values = (await b.values()).map(value => factor * value);
        return data(inFileOrder(values, b.shape, ofB(layout)), columns(b));
      },
    },
  ];
}

/** The base with the factors of a file, applied as llama.cpp does. @throws ExportError for a file with other tensors */
export async function withAdapterFile(
  path: string,
  places: readonly AdapterPlace[],
  base: WeightSource,
): Promise<WeightSource & { close(): Promise<void> }> {
  const file = await openByteFile(path);
  const header = await readGgufHeader(file);
  const alpha = header.metadata.get(ALPHA);
  const tensors = new Map(header.tensors.map(tensor => [tensor.name, tensor]));
  if (typeof alpha !== 'number' || tensors.size !== 2 * places.length)
    throw new ExportError('the adapter file has other tensors than were written: report this with the recipe');
  const read = async (name: string): Promise<{ readonly values: Float32Array; readonly shape: readonly number[] }> => {
    const { type, shape, position, byteLength } = required(tensors.get(name), name);
    const values = new Float32Array(shape.reduce((n, d) => n * d, 1));
    required(type.dequantize, type.name)(await file.read(position, byteLength), 0, values, 0, values.length);
    return { values, shape };
  };
  const byWeight = new Map(places.map(place => [place.module.weight.name, place]));
  return {
    tensors: base.tensors,
    readFloat32: async name => {
      const weight = await base.readFloat32(name);
      const place = byWeight.get(name);
      if (place === undefined) return weight;
      const [a, b] = [await read(place.name + A_END), await read(place.name + B_END)];
      const r = required(b.shape[1], 'the rank of B');
      const [own, other] = [inModelOrder(a.values, a.shape, ofA(place.layout)), inModelOrder(b.values, b.shape, ofB(place.layout))];
      return addProduct(weight, own, other, { r, alpha });
    },
    close: () => file.close(),
  };
}
