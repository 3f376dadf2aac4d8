/** A GGUF file as a TensorSource with Hugging Face's names, dequantized while it is read. */
import { openByteFile } from '../byte-file.ts';
import { type FileProblem, ModelFileError } from '../model-file-error.ts';
import { fingerprintTensors, type TensorInfo, type TensorSource } from '../tensor-source.ts';
import type { FileLayout } from './families/gguf-family.ts';
import { type GgufHeader, type GgufTensor, readGgufHeader } from './gguf-header.ts';
import { blocksOfModel, firstOf, inModelOrder, keepsRows, layoutOf, layoutSizes, shapeInModel } from './gguf-layout.ts';
import { blockName, huggingFaceName, ROPE_FACTORS, ROPE_FACTORS_BY_LENGTH } from './gguf-names.ts';
import { supportedFamily } from './gguf-unsupported.ts';

/** Stored bytes in memory at a time while a tensor is dequantized. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** Maximum number of factors, which are read with the header. There is one per pair of a head's features; published models have 64. */
const MAX_ROPE_FACTORS = 65_536;

export interface GgufFile {
  readonly header: GgufHeader;
  readonly weights: TensorSource;
  /** Llama 3's rotary frequency factors, if the file has them. */
  readonly ropeFactors: Float32Array | undefined;
  /** The factors for short and for long texts, if the file has both (longrope). */
  readonly ropeFactorsByLength: RopeFactorsByLength | undefined;
}

export interface RopeFactorsByLength {
  readonly short: Float32Array;
  readonly long: Float32Array;
}

/** A range of rows along the last axis. */
interface RowPart {
  readonly first: number;
  readonly rows: number;
}

interface Located {
  readonly tensor: GgufTensor;
  readonly info: TensorInfo;
  readonly layout: FileLayout;
}

/**
 * @throws ModelFileError listing every problem of the header or every tensor that the architecture does not have, or if the architecture is
 * not supported
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const file = await openByteFile(path);
  try {
    const header = await readGgufHeader(file);
    const located = locate(path, header);
    const readValues = async ({ tensor, layout }: Omit<Located, 'info'>, part?: RowPart): Promise<Float32Array> => {
      const { dequantize, blockElements, blockBytes, name } = tensor.type;
      if (dequantize === undefined) {
        throw new ModelFileError(
          path,
          [{ tensor: tensor.name, message: `is ${name}, which is not read as weights` }],
          'Use the original file.',
        );
      }
      const columns = tensor.shape.at(-1) ?? 1;
      const rowBytes = (columns / blockElements) * blockBytes;
      const first = part?.first ?? 0;
      const count = part ? part.rows * columns : tensor.shape.reduce((n, d) => n * d, 1);
      const out = new Float32Array(count);
      if (count === 0) return out;
      const rows = count / columns;
      const rowsPerChunk = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
      const scratch = new Uint8Array(Math.min(rows, rowsPerChunk) * rowBytes);
      for (let row = 0; row < rows; row += rowsPerChunk) {
        const n = Math.min(rowsPerChunk, rows - row);
        const bytes = scratch.subarray(0, n * rowBytes);
        await file.readInto(bytes, tensor.position + (first + row) * rowBytes);
        dequantize(bytes, 0, out, row * columns, n * columns);
      }
      return inModelOrder(out, part ? [part.rows, columns] : tensor.shape, layout);
    };
    const find = (name: string): Located => {
      const found = located.get(name);
      if (found === undefined)
        throw new ModelFileError(
          path,
          [{ tensor: name, message: 'is not in this model' }],
          'Check the name of the architecture and the file.',
        );
      return found;
    };
    const readFactors = async (tensorName: string): Promise<Float32Array | undefined> => {
      const factors = header.tensors.find(({ name }) => name === tensorName);
      if (!factors) return undefined;
      const count = factors.shape.reduce((n, d) => n * d, 1);
      if (count <= MAX_ROPE_FACTORS) return readValues({ tensor: factors, layout: {} });
      const message = `has ${count} values; at most ${MAX_ROPE_FACTORS} are read`;
      throw new ModelFileError(path, [{ tensor: tensorName, message }], 'The file is damaged: download it again.');
    };
    const ropeFactors = await readFactors(ROPE_FACTORS);
    const [short, long] = [await readFactors(ROPE_FACTORS_BY_LENGTH.short), await readFactors(ROPE_FACTORS_BY_LENGTH.long)];
    const ropeFactorsByLength = short && long && { short, long };
    const numbers = numbersOf(path, header);
    const ofNumbers = [...numbers].map(([name, { byteLength }]): [string, TensorInfo] => [
      name,
      { name, dtype: 'F32', shape: [1], byteLength },
    ]);
    const tensors = new Map([...[...located].map(([name, { info }]): [string, TensorInfo] => [name, info]), ...ofNumbers]);
    const readBytes = async (name: string, begin: number, count: number): Promise<Uint8Array> =>
      numbers.get(name)?.subarray(begin, begin + count) ?? file.read(find(name).tensor.position + begin, count);
    const readFloat32 = async (name: string): Promise<Float32Array> => {
      const number = numbers.get(name);
      return number ? new Float32Array(number.slice().buffer) : readValues(find(name));
    };
    const weights: TensorSource = {
      tensors,
      readFloat32,
      readBfloat16: async () => undefined,
      readRaw: async name => {
        const { byteLength } = tensors.get(name) ?? find(name).info;
        return readBytes(name, 0, byteLength);
      },
      readPart: async (name, begin, count) => {
        if (numbers.has(name)) return (await readFloat32(name)).slice(begin, begin + count);
        const found = find(name);
        const columns = found.tensor.shape.at(-1) ?? 1;
        const [first, rows] = [begin / columns, count / columns];
        if (keepsRows(found.layout) && Number.isInteger(first) && Number.isInteger(rows)) return readValues(found, { first, rows });
        return (await readValues(found)).slice(begin, begin + count);
      },
      readBytes,
      fingerprint: () => fingerprintTensors(tensors.values(), ({ name }, start, end) => readBytes(name, start, end - start)),
      close: () => file.close(),
    };
    return { header, weights, ropeFactors, ropeFactorsByLength };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Parameters in the metadata: four bytes each, by Hugging Face's names. @throws ModelFileError for a list of another length */
function numbersOf(path: string, header: GgufHeader): Map<string, Uint8Array> {
  const { architecture, family } = supportedFamily(path, header.metadata);
  const blocks = Number(header.metadata.get(`${architecture}.block_count`));
  const found = new Map<string, Uint8Array>();
  for (const [key, name] of Object.entries(family.numbers ?? {})) {
    const list = header.metadata.get(key);
    if (!Array.isArray(list) || list.length !== blocks)
      throw new ModelFileError(path, `has no list ${key} with a number for each block`, 'Convert or download the file again.');
    for (const [block, value] of list.entries())
      found.set(`${blockName(family, block)}.${name}`, new Uint8Array(Float32Array.of(Number(value)).buffer));
  }
  return found;
}

const ONE_EXPERT = /^blk\.\d+\.ffn_(gate|up|down)\.\d+\.weight$/;

function locate(path: string, header: GgufHeader): Map<string, Located> {
  const { architecture, family } = supportedFamily(path, header.metadata);
  const sizes = layoutSizes(header.metadata);
  const [inModel, stated] = [
    blocksOfModel(header.metadata, architecture, family),
    Number(header.metadata.get(`${architecture}.block_count`)),
  ];
  const problems: FileProblem[] = [];
  const located = new Map<string, Located>();
  for (const tensor of header.tensors) {
    if (tensor.name === ROPE_FACTORS || Object.values(ROPE_FACTORS_BY_LENGTH).includes(tensor.name)) continue;
    const block = Number(/^blk\.(\d{1,5})\./.exec(tensor.name)?.[1] ?? -1);
    if (block >= inModel && block < stated) continue;
    const name = huggingFaceName(tensor.name, family);
    if (name === undefined) {
      const message = ONE_EXPERT.test(tensor.name)
        ? 'is one expert by itself, as converters wrote until 2024; all of a layer in one tensor are read, so convert the model again'
        : `is not part of a model of the architecture ${architecture}`;
      problems.push({ tensor: tensor.name, message });
      continue;
    }
    const { type, shape, byteLength } = tensor;
    const quantization = type.dtype === 'GGML' ? { quantization: type.name } : {};
    if (family.interleaved || family.splitsPairs) checkInterleaved(header, architecture, tensor, problems);
    const info = {
      name,
      dtype: type.dtype,
      shape: shapeInModel(tensor.name, shape, family),
      byteLength,
      ...quantization,
      ...(family.hasModelMatrices && { isConverted: true as const }),
    };
    located.set(name, { tensor, info, layout: layoutOf(tensor.name, shape, family, sizes) });
  }
  if (problems.length > 0) throw new ModelFileError(path, problems, 'Use a model of these families (tensors must have llama.cpp names).');
  return located;
}

function checkInterleaved(header: GgufHeader, architecture: string, tensor: GgufTensor, problems: FileProblem[]): void {
  const kind = /^blk\.\d+\.attn_(q|k)\./.exec(tensor.name)?.[1];
  if (kind === undefined) return;
  const heads = header.metadata.get(`${architecture}.attention.head_count`);
  const n = kind === 'q' ? heads : (firstOf(header.metadata.get(`${architecture}.attention.head_count_kv`)) ?? heads);
  const rows = tensor.shape[0] ?? 0;
  if (typeof n !== 'number' || n < 1 || rows % (2 * n) !== 0)
    problems.push({ tensor: tensor.name, message: `has ${rows} rows, which ${String(n)} heads of an even size do not divide` });
}
