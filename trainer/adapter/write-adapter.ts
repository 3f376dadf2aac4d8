/** Writes an adapter: trained tensors, rows and columns as safetensors, its description as JSON. Each file is complete or absent. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { writeTextFile } from '../files/durable-file.ts';
import { sealJson } from '../files/sealed-json.ts';
import { encodeFloat32 } from '../format/float-format.ts';
import { type TensorEntry, writeSafetensors } from '../format/safetensors/safetensors-writer.ts';
import type { HostArray } from '../graph/types.ts';
import { float32Of } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import type { Selection } from '../selection.ts';
import {
  ADAPTER_DESCRIPTION,
  ADAPTER_VERSION,
  ADAPTER_WEIGHTS,
  type AdapterBase,
  type AdapterDescription,
  columnsTensor,
  elementsTensor,
  moduleOf,
  rowsTensor,
} from './adapter.ts';

/** One trained tensor, float32; `data` is called once, when the tensor is written. */
export interface AdapterTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: () => HostArray | Promise<HostArray>;
}

export interface AdapterContents {
  readonly description: AdapterDescription;
  readonly tensors: readonly AdapterTensor[];
}

const CREATED_BY = `rowtune ${manifest.version}`;

/** Describes the trained tensors of an attachment in the adapter's terms. */
export function describeAdapter({ method, trainables, lora = new Map(), vera }: Attachment, base: AdapterBase): AdapterDescription {
  const rows = new Map<string, Int32Array>();
  const columns = new Map<string, Int32Array>();
  const elements = new Map<string, Int32Array>();
  const modules = new Set<string>();
  const whole = new Set<string>();
  for (const { name, variable, rows: ofRows, columns: ofColumns, elements: ofElements } of trainables) {
    const module = moduleOf(name);
    modules.add(module);
    if (ofRows) rows.set(module, ofRows.indices);
    else if (ofColumns) columns.set(module, ofColumns.indices);
    else if (ofElements) elements.set(module, ofElements.indices);
    // This is a weight of the model, not a factor; the biases of BitFit are stored without their weights.
    else if (variable.name === `${module}.weight` || variable.name === module) whole.add(module);
  }
  return { method, base, modules: [...modules], rows, columns, elements, lora, vera, whole: [...whole], createdBy: CREATED_BY };
}

/**
 * The tensors of these trainables in the form in which adapters store them.
 * @param tensors the values in the form in which they are trained
 */
export function asStored(trainables: Attachment['trainables'], tensors: readonly AdapterTensor[]): AdapterTensor[] {
  const storedOf = new Map(trainables.map(({ name, stored }) => [name, stored]));
  return tensors.map(tensor => {
    const stored = storedOf.get(tensor.name);
    if (!stored) return tensor;
    return { ...tensor, shape: stored.shape, data: async () => stored.fromTrained(float32Of(await tensor.data())) };
  });
}

/**
 * Creates `dir` and writes both files, the description last. `tensors` have the names of `Attachment.trainables` and their stored values;
 * their rows come from the description.
 * @returns the checksum of the tensor file
 * @throws errors of the file system
 */
export async function writeAdapter(dir: string, { description, tensors }: AdapterContents): Promise<string> {
  await mkdir(dir, { recursive: true });
  const places = [
    ...[...description.rows].map(([module, indices]) => placesEntry(rowsTensor(module), indices)),
    ...[...description.columns].map(([module, indices]) => placesEntry(columnsTensor(module), indices)),
    ...[...description.elements].map(([module, indices]) => placesEntry(elementsTensor(module), indices)),
  ];
  const trained = tensors.map(
    ({ name, shape, data }): TensorEntry => ({
      name,
      dtype: 'F32',
      shape,
      data: async () => encodeFloat32(float32Of(await data()), 'F32'),
    }),
  );
  const checksum = await writeSafetensors(join(dir, ADAPTER_WEIGHTS), [...places, ...trained], { format: 'pt' });
  await writeTextFile(join(dir, ADAPTER_DESCRIPTION), sealJson(descriptionJson(description)));
  return checksum;
}

const placesEntry = (name: string, indices: Int32Array): TensorEntry => ({
  name,
  dtype: 'I32',
  shape: [indices.length],
  data: () => new Uint8Array(indices.buffer, indices.byteOffset, indices.byteLength),
});

const asLists = (selection: Selection): Record<string, number[]> =>
  Object.fromEntries([...selection].map(([module, indices]) => [module, [...indices]]));

/** The description as JSON. The positions of elements, of which there may be millions, are only in the tensor file. */
function descriptionJson({
  method,
  base,
  modules,
  rows,
  columns,
  lora,
  vera,
  whole,
  step,
  problem,
  pooling,
  imageSize,
  labels,
  createdBy,
}: AdapterDescription): string {
  const json = {
    version: ADAPTER_VERSION,
    created_by: createdBy,
    method,
    step,
    problem,
    pooling,
    image_size: imageSize,
    labels,
    base,
    modules,
    ...(rows.size > 0 ? { rows: asLists(rows) } : {}),
    ...(columns.size > 0 ? { columns: asLists(columns) } : {}),
    ...(lora.size > 0 ? { lora: Object.fromEntries(lora) } : {}),
    vera,
    ...(whole.length > 0 ? { whole } : {}),
  };
  // Write each list of rows on one line, because people read the file, too.
  const text = JSON.stringify(json, null, 2);
  return `${text.replaceAll(/\[[\s\d,]+\]/g, list => list.replaceAll(/\s+/g, ' '))}\n`;
}
