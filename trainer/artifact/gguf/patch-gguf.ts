/**
 * Writes a GGUF base with trained parameters: a copy of the file in which only the changed blocks are quantized again. A trained row
 * changes all of its own blocks, a trained column one block of every row.
 */

import { constants } from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { mergedWeights } from '../../adapter/merge.ts';
import { writeAt } from '../../files/write-at.ts';
import { openByteFile } from '../../format/byte-file.ts';
import { type GgufTensor, readGgufHeader } from '../../format/gguf/gguf-header.ts';
import { inFileOrder, layoutOf, layoutSizes } from '../../format/gguf/gguf-layout.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import type { Opened } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { familyOf } from './gguf-file.ts';
import { fileTensors, isTunedIn } from './gguf-tensors.ts';

export interface PatchParams {
  readonly opened: Opened;
  readonly model: CausalModel;
  /** The GGUF file of the base. */
  readonly from: string;
  readonly to: string;
  readonly onTensor: (done: number, total: number) => void;
}

export async function patchGguf({ opened, model, from, to, onTensor }: PatchParams): Promise<void> {
  const { folder, adapter } = opened;
  const file = await openByteFile(from);
  const header = await readGgufHeader(file).finally(() => file.close());
  const found = familyOf(header);
  const sizes = layoutSizes(header.metadata);
  const held = fileTensors(model, found, sizes);
  const base = withInitial(model, folder.weights);
  const merged = mergedWeights(base, adapter);
  const tuned = header.tensors.flatMap(tensor => {
    const own = held.get(tensor.name);
    return own && isTunedIn(adapter, own) ? [{ tensor, own }] : [];
  });
  const unwritten = tuned.map(({ tensor }) => tensor).find(({ type }) => type.quantize === undefined);
  if (unwritten)
    throw new ExportError(
      `${unwritten.name} is ${unwritten.type.name}, which is read but not written, so the file cannot keep the types of the base: export with --type Q8_0 or another type`,
    );
  // Copying is instantaneous and takes no space on file systems that can share blocks.
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  const handle = await open(to, 'r+');
  try {
    for (const [done, { tensor, own }] of tuned.entries()) {
      const layout = layoutOf(tensor.name, tensor.shape, found.family, sizes);
      const inOrder = async (source: WeightSource) => inFileOrder(await own.values(source.readFloat32), tensor.shape, layout);
      const [before, after] = [await inOrder(base), await inOrder(merged)];
      for (const { position, bytes } of changedBlocks(tensor, before, after)) await writeAt(handle, bytes, position);
      onTensor(done + 1, tuned.length);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Yields the changed blocks, merging neighboring blocks within a row of a matrix. A type without blocks, whose values are exact, counts
 * each row as a block. In a vector, whose every element is a row, blocks are treated as rows.
 */
function* changedBlocks(
  { type, shape, position }: GgufTensor,
  before: Float32Array,
  after: Float32Array,
): Generator<{ readonly position: number; readonly bytes: Uint8Array }> {
  const columns = shape.length > 1 ? (shape.at(-1) ?? 1) : type.blockElements;
  const size = type.blockElements > 1 ? type.blockElements : columns;
  const [perRow, blockBytes] = [columns / size, (size / type.blockElements) * type.blockBytes];
  const isChanged = (block: number): boolean => {
    for (let i = block * size; i < (block + 1) * size; i++) if (before[i] !== after[i]) return true;
    return false;
  };
  for (let row = 0; row * columns < after.length; row++) {
    for (let begin = 0; begin < perRow; begin++) {
      let end = begin;
      while (end < perRow && isChanged(row * perRow + end)) end++;
      if (end === begin) continue;
      const values = after.slice(row * columns + begin * size, row * columns + end * size);
      const bytes = new Uint8Array((end - begin) * blockBytes);
      type.quantize?.(values, 0, values.length, bytes, 0);
      yield { position: position + (row * perRow + begin) * blockBytes, bytes };
      begin = end;
    }
  }
}
