/** Holds the files of encoders of images (mmproj) against those of llama.cpp's converter: all metadata, and the bytes of all tensors. */
import { createHash } from 'node:crypto';
import { cp, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { quantized } from '../../trainer/artifact/gguf/gguf-file.ts';
import { planMmproj } from '../../trainer/artifact/gguf/mmproj-file.ts';
import { ggufTypeNamed } from '../../trainer/artifact/gguf/quantization.ts';
import { encodeFloat32 } from '../../trainer/format/float-format.ts';
import { writeGguf } from '../../trainer/format/gguf/gguf-writer.ts';
import { writeSafetensors } from '../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { elementAt, valueFor } from '../../trainer/narrow.ts';
import { headerOf } from '../support/files/gguf-export.ts';
import { readGoldenJson, readRecord } from '../support/files/read-json.ts';
import { temporaryFolder } from '../support/machine/temporary-folder.ts';

const record = z.record(z.string(), z.unknown());
const golden = readGoldenJson(
  'mmproj.json',
  z.record(
    z.string(),
    z.object({
      changes: z.object({ vision: record.optional(), processor: record.optional() }),
      metadata: record,
      tensors: z.record(z.string(), z.object({ type: z.enum(['F32', 'F16']), shape: z.array(z.number()), sha256: z.string() })),
    }),
  ),
);

/** The converter takes the name from the folder, and for Qwen3-VL the epsilon of the text part; that of the tower is 1e-6. */
const OTHER_KEYS = ['general.name', 'general.size_label'];
/**
 * Keys of some families. The converter leaves out what published models of Gemma 4 have by default, and the activation, so that llama.cpp
 * takes another than Transformers; and the numbers of tiles of InternVL, which it reads from keys of the first version.
 */
const OWN_KEYS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  gemma4_images: {
    'clip.vision.projector_type': undefined,
    'clip.projector_type': 'gemma4v',
    'clip.use_gelu': true,
    'clip.vision.projector.scale_factor': 2,
    'clip.vision.attention.head_count_kv': 1,
  },
  // The converter writes image_size, from which llama.cpp would take the longest side of an image.
  lighton_ocr: { 'clip.vision.image_size': 40 },
  internvl: { 'clip.vision.preproc_min_tiles': 1, 'clip.vision.preproc_max_tiles': 6 },
};
/** llama.cpp puts the class token of InternVL last, so the first row of the table has to be the last. */
const CLASS_FIRST = 'v.position_embd.weight';
/** Towers without a side, whose files have one by default. */
const SIDELESS = ['lfm2_vl', 'glm_ocr'];
const EPSILON = 'clip.vision.attention.layer_norm_epsilon';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Moves the last row of float32 numbers to the front. */
const lastRowFirst = (bytes: Uint8Array, width: number): Uint8Array =>
  Buffer.concat([bytes.subarray(bytes.length - 4 * width), bytes.subarray(0, bytes.length - 4 * width)]);

async function folderOf(name: string): Promise<string> {
  const dir = join(await temporaryFolder(), name);
  await cp(join(import.meta.dirname, name), dir, { recursive: true });
  const { vision, processor } = valueFor(new Map(Object.entries(golden)), name).changes;
  const config = readRecord(join(dir, 'config.json'));
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, vision_config: { ...Object(config.vision_config), ...vision } }));
  if (processor) {
    const file = join(dir, 'preprocessor_config.json');
    await writeFile(file, JSON.stringify({ ...readRecord(file), ...processor }));
  }
  return dir;
}

test.each(Object.entries(golden))('%s', async (name, expected) => {
  const folder = await openModel(await folderOf(name));
  const plan = await planMmproj(folder, causalModel(folder.config), name);
  if ('reason' in plan) throw new Error(plan.reason);
  const path = join(await temporaryFolder(), 'mmproj.gguf');
  await writeGguf(path, plan.metadata, plan.tensors);
  const { metadata } = await headerOf(path);
  const own = Object.fromEntries([...metadata].filter(([key]) => !OTHER_KEYS.includes(key)));
  const theirs = Object.fromEntries(Object.entries(expected.metadata).filter(([key]) => !OTHER_KEYS.includes(key)));
  const side = SIDELESS.includes(name) ? { 'clip.vision.image_size': own['clip.vision.image_size'] } : {};
  expect(own).toEqual({ ...theirs, ...(name.startsWith('qwen3') && { [EPSILON]: Math.fround(1e-6) }), ...side, ...OWN_KEYS[name] });
  const found = new Map<string, unknown>();
  for (const { name: tensor, type, shape, data } of plan.tensors) {
    const wanted = expected.tensors[tensor];
    // The golden file of LFM2-VL lacks the patches, which llama.cpp's converter takes in one size only.
    if (wanted === undefined && name === 'lfm2_vl' && tensor === 'v.patch_embd.weight') continue;
    const written = await data();
    const bytes = name === 'internvl' && tensor === CLASS_FIRST ? lastRowFirst(written, elementAt(shape, -1)) : written;
    // The converter rounds the projection of Gemma 3 to half precision, whatever the type of the file.
    const half = wanted?.type === 'F16' && type.name === 'F32';
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const same = half ? await quantized(values, ggufTypeNamed('F16'), elementAt(shape, -1)) : bytes;
    found.set(tensor, { type: half ? 'F16' : type.name, shape, sha256: sha256(same) });
  }
  expect(Object.fromEntries(found)).toEqual(expected.tensors);
  await folder.weights.close();
});

test.each([
  ['qwen2_5_vl', { vision_config: { window_size: 16 } }, /^windows are 2 vectors wide, and 14 in llama\.cpp, for a window_size of 112$/],
  ['qwen2_5_vl', { vision_config: { window_size: 112, fullatt_block_indexes: [0, 2] } }, /^fullatt_block_indexes is \[0,2\], and llama\.cpp takes every n-th block, such as \[0,1,2\]$/],
  ['qwen3_vl', { vision_config: { deepstack_visual_indexes: [1, 0] } }, /^deepstack_visual_indexes \[1,0\] is not in order/],
  ['qwen3_vl', { vision_config: { hidden_act: 'relu' } }, /^llama\.cpp has no activation relu for encoders$/],
  ['qwen3_vl', { vision_config: { rope_parameters: { rope_theta: 100 } } }, /^rope_theta is 100, and llama\.cpp has 10000$/],
  ['glm4v', { vision_config: { rope_parameters: { rope_theta: 100 } } }, /^rope_theta is 100, and llama\.cpp has 10000$/],
  ['glm_ocr', { vision_config: { hidden_act: 'relu' } }, /^llama\.cpp has no activation relu for encoders$/],
  ['paddleocr_vl', { vision_config: { hidden_act: 'silu' } }, /^hidden_act is silu, and llama\.cpp has GELU in the projector too$/],
  ['lighton_ocr', {}, /^rope_theta is 100, and llama\.cpp has 10000$/],
  ['mistral3_vision', {}, /^Rowtune does not write this encoder for llama\.cpp yet$/],
  ['idefics3', {}, /^tiles have 24 pixels per side, and llama\.cpp takes them of image_size, 28$/],
  ['lfm2_vl', {}, /^images are divided otherwise than in llama\.cpp: \{"patch":4,.* in place of \{"patch":4,/],
  ['gemma3_images', {}, /the tower sees 16 × 16 pixels, and size is 224 × 224$/],
])('%s %j: no file, with the reason', async (name, change, reason) => {
  const dir = join(await temporaryFolder(), name);
  await cp(join(import.meta.dirname, name), dir, { recursive: true });
  const config = readRecord(join(dir, 'config.json'));
  const { vision_config: tower } = { vision_config: {}, ...change };
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, vision_config: { ...Object(config.vision_config), ...tower } }));
  const folder = await openModel(dir);
  const found = await planMmproj(folder, causalModel(folder.config), name);
  expect('reason' in found && found.reason).toMatch(reason);
  await folder.weights.close();
});

test.each([
  ['qwen3_vl', ['v.position_embd.weight']],
  ['glm4v', ['v.position_embd.weight']],
  ['lighton_ocr', ['mm.patch_merger.weight']],
])('%s in bfloat16: the matrices in float32 are those of llama.cpp\'s converter', async (name, wide) => {
  const dir = await folderOf(name);
  const { weights } = await openModel(dir);
  const entries = [...weights.tensors.values()].map(({ name: tensor, shape }) => ({
    ...{ name: tensor, shape, dtype: 'BF16' as const },
    data: async () => encodeFloat32(await weights.readFloat32(tensor), 'BF16'),
  }));
  await writeSafetensors(join(dir, 'bfloat16.safetensors'), entries);
  await weights.close();
  await rename(join(dir, 'bfloat16.safetensors'), join(dir, 'model.safetensors'));
  const folder = await openModel(dir);
  const plan = await planMmproj(folder, causalModel(folder.config), name);
  if ('reason' in plan) throw new Error(plan.reason);
  const matrices = plan.tensors.filter(({ shape }) => shape.length === 2);
  expect(matrices.filter(({ type }) => type.name === 'F32').map(tensor => tensor.name)).toEqual(wide);
  expect(new Set(matrices.map(({ type }) => type.name))).toEqual(new Set(['BF16', 'F32']));
  await folder.weights.close();
});
