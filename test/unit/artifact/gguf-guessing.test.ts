/** Tests GGUF files with blocks that predict further tokens (MTP): they are not part of the model, and stay in the file unchanged. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openByteFile } from '../../../trainer/format/byte-file.ts';
import { u32Entry } from '../../../trainer/format/gguf/gguf-entries.ts';
import { type GgufTensor, readGguf } from '../../../trainer/format/gguf/gguf-header.ts';
import { writeGguf } from '../../../trainer/format/gguf/gguf-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { elementAt, valueFor } from '../../../trainer/narrow.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

const engine = await openFast();

/** Adds a block to the file, with the weights of its last attention block. */
async function withGuessingBlock(base: string): Promise<string> {
  const file = await openByteFile(base);
  const { header, entries } = await readGguf(file).finally(() => file.close());
  const own = (key: string) => `${header.metadata.get('general.architecture')}.${key}`;
  const blocks = Number(header.metadata.get(own('block_count')));
  const counts = [u32Entry(own('block_count'), blocks + 1), u32Entry(own('nextn_predict_layers'), 1)];
  const bytes = readFileSync(base);
  const bytesOf = ({ position, byteLength }: GgufTensor): Buffer => bytes.subarray(position, position + byteLength);
  const like = elementAt(
    header.tensors.flatMap(({ name }) => /^blk\.\d+(?=\.attn_k\.weight)/.exec(name)?.[0] ?? []),
    -1,
  );
  const copied = header.tensors
    .filter(({ name }) => name.startsWith(`${like}.`))
    .map(tensor => ({ ...tensor, name: tensor.name.replace(like, `blk.${blocks}`), data: async () => bytesOf(tensor) }));
  const norm = elementAt(
    header.tensors.filter(({ name }) => name === 'output_norm.weight'),
    0,
  );
  const [width = 0] = norm.shape;
  const further = [
    { name: 'eh_proj', shape: [width, 2 * width], data: async () => Buffer.concat(Array(2 * width).fill(bytesOf(norm))) },
    ...['enorm', 'hnorm', 'shared_head_norm'].map(name => ({ name, shape: [width], data: async () => bytesOf(norm) })),
  ].map(each => ({ ...each, name: `blk.${blocks}.nextn.${each.name}.weight`, type: norm.type }));
  const path = join(await temporaryFolder(), 'guessing.gguf');
  await writeGguf(
    path,
    [...entries.filter(({ key }) => counts.every(count => count.key !== key)), ...counts],
    [...header.tensors.map(tensor => ({ ...tensor, data: async () => bytesOf(tensor) })), ...copied, ...further],
  );
  return path;
}

const described = async (path: string) => {
  const { config, weights } = await openModel(path);
  await weights.close();
  return { config, tensors: [...weights.tensors] };
};

test.each([
  ['glm4_moe', {}],
  ['qwen3_5', { linear_value_head_dim: 8 }],
] as const)('%s', async (like, changes) => {
  const base = fileOf(await exportGguf(engine, await tinyDecoder({ like, changes }), { type: 'F32' }));
  const guessing = await withGuessingBlock(base);
  expect(await described(guessing)).toEqual(await described(base));
  const result = await exportGguf(engine, guessing, { type: 'base' });
  expectVerified(result);
  const [before, after] = [await headerOf(guessing), await headerOf(fileOf(result))];
  expect(after.metadata).toEqual(before.metadata);
  const [old, written] = [readFileSync(guessing), readFileSync(fileOf(result))];
  const blocks = Number(valueFor(before.metadata, `${before.metadata.get('general.architecture')}.block_count`));
  const kept = before.tensors.filter(({ name }) => name.startsWith(`blk.${blocks - 1}.`));
  expect(kept.length).toBeGreaterThan(10);
  for (const { position, byteLength } of kept)
    expect(written.subarray(position, position + byteLength).equals(old.subarray(position, position + byteLength))).toBe(true);
});
