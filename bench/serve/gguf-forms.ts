/** Writes the weights of a GGUF file in another type, for llama.cpp: both sides then compute with the same numbers. */
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { familyOf, quantized } from '../../trainer/artifact/gguf/gguf-file.ts';
import { fileTensors } from '../../trainer/artifact/gguf/gguf-tensors.ts';
import { FILE_TYPES, type NamedType, typeOfTensor } from '../../trainer/artifact/gguf/quantization.ts';
import { openByteFile } from '../../trainer/format/byte-file.ts';
import { u32Entry } from '../../trainer/format/gguf/gguf-entries.ts';
import { readGguf } from '../../trainer/format/gguf/gguf-header.ts';
import { inFileOrder, layoutOf, layoutSizes } from '../../trainer/format/gguf/gguf-layout.ts';
import { type GgufTensorEntry, writeGguf } from '../../trainer/format/gguf/gguf-writer.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { valueFor } from '../../trainer/narrow.ts';

/** Replaced in the metadata of the source. */
const REPLACED = new Set(['general.file_type', 'general.alignment']);

/** Returns the path of the source's weights in this type, written on the first call. */
export async function ggufInType(source: string, type: NamedType, folder: string): Promise<string> {
  const target = path.join(folder, `${path.basename(source, '.gguf')}.as-${type}.gguf`);
  if (existsSync(target)) return target;
  const file = await openByteFile(source);
  const { header, entries } = await readGguf(file).finally(() => file.close());
  const found = familyOf(header);
  const { architecture, family } = found;
  const opened = await openModel(source);
  try {
    const sizes = layoutSizes(header.metadata);
    const held = fileTensors(causalModel(opened.config), found, sizes);
    const blocks = Number(header.metadata.get(`${architecture}.block_count`));
    const tied = !opened.weights.tensors.has('lm_head.weight');
    const tensors = header.tensors.map(({ name, shape }): GgufTensorEntry => {
      const { shape: ownShape, values } = valueFor(held, name);
      const own = typeOfTensor(type, { name, shape, blocks, tied, experts: 0 });
      const layout = layoutOf(name, ownShape, family, sizes);
      const data = async () => {
        const ordered = inFileOrder(await values(tensor => opened.weights.readFloat32(tensor)), ownShape, layout);
        return quantized(ordered, own, ownShape.at(-1) ?? 1);
      };
      return { name, type: own, shape, data };
    });
    const metadata = [...entries.filter(({ key }) => !REPLACED.has(key)), u32Entry('general.file_type', FILE_TYPES[type])];
    await mkdir(folder, { recursive: true });
    await writeGguf(`${target}.part`, metadata, tensors);
    await rename(`${target}.part`, target);
    return target;
  } finally {
    await opened.weights.close();
  }
}
