/** Tests weights in 4 bits as bitsandbytes saves them: both kinds of scales, reading in parts, and parts that do not fit each other. */
import { expect, test } from 'vitest';
import { withBnbWeights } from '../../../trainer/format/bnb-weights.ts';
import type { TensorDType } from '../../../trainer/format/tensor-source.ts';
import type { WeightFiles } from '../../../trainer/format/weight-files.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { required } from '../../../trainer/narrow.ts';
import { goldenPath } from '../hub/model-bytes.ts';
import { filesOf, type StoredTensor } from './files-of.ts';

const LEVELS = Float32Array.from({ length: 16 }, (_, i) => i / 8 - 1);
const record = (change: object = {}): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ quant_type: 'fp4', blocksize: 16, dtype: 'float32', shape: [3, 11], ...change }));
/** 33 codes, of which the last byte has one. */
const codes = Uint8Array.from({ length: 17 }, (_, i) => (i * 53 + 7) % 256);
const codeAt = (i: number): number => ((codes[i >> 1] as number) >> (i & 1 ? 0 : 4)) & 15;
const u8 = (data: Uint8Array, shape: readonly number[] = [data.length]): StoredTensor => ['U8', shape, data];
const f32 = (...values: number[]): StoredTensor => ['F32', [values.length], Float32Array.from(values)];

const plain = {
  'a.weight': u8(codes, [17, 1]),
  'a.weight.absmax': f32(1, 10, 100),
  'a.weight.quant_map': ['F32', [16], LEVELS],
  'a.weight.quant_state.bitsandbytes__fp4': u8(record()),
  'a.bias': f32(1, 2, 3),
} as const satisfies Readonly<Record<string, StoredTensor>>;
const expected = Float32Array.from({ length: 33 }, (_, i) => (LEVELS[codeAt(i)] as number) * 10 ** Math.floor(i / 16));

const open = (change: Readonly<Record<string, StoredTensor | undefined>> = {}): Promise<WeightFiles> => {
  const all = Object.entries<StoredTensor | undefined>({ ...plain, ...change });
  return withBnbWeights(
    filesOf(Object.fromEntries(all.flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : [])))),
    'model.safetensors',
  );
};

test('codes have the scale of their block, and what belongs to them is no tensor any more', async () => {
  const files = await open();
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
  expect(files.tensors.get('a.weight')).toMatchObject({ dtype: 'F32', shape: [3, 11], quantization: 'bnb4' });
  expect(await files.readFloat32('a.weight')).toEqual(expected);
  expect(new Float32Array((await files.readRaw('a.weight')).buffer)).toEqual(expected);
  expect(await files.readFloat32('a.bias')).toEqual(Float32Array.of(1, 2, 3));
});

test.each([0, 1, 7, 16, 31])('a part from value %i on is that part', async begin => {
  const files = await open();
  expect(await files.readPart('a.weight', begin, 2)).toEqual(expected.slice(begin, begin + 2));
});

test('scales in 8 bits have scales and an offset of their own', async () => {
  const outer = Float32Array.from({ length: 256 }, (_, i) => (i - 128) / 128);
  const files = await open({
    'a.weight.absmax': u8(Uint8Array.of(255, 0, 130)),
    'a.weight.nested_quant_map': ['F32', [256], outer],
    'a.weight.nested_absmax': f32(4),
    'a.weight.quant_state.bitsandbytes__fp4': u8(record({ nested_blocksize: 16, nested_offset: 0.5, nested_dtype: 'float32' })),
  });
  const scales = [127, -128, 2].map(each => (each / 128) * 4 + 0.5);
  const wanted = Float32Array.from({ length: 33 }, (_, i) => (LEVELS[codeAt(i)] as number) * (scales[Math.floor(i / 16)] as number));
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
  expect(await files.readFloat32('a.weight')).toEqual(wanted);
});

test.each<[string, TensorDType]>([
  ['bfloat16', 'BF16'],
  ['float16', 'F16'],
])('values are rounded to %s if the record says so', async (dtype, type) => {
  const files = await open({ 'a.weight.absmax': f32(1.2345, 10, 100), 'a.weight.quant_state.bitsandbytes__fp4': u8(record({ dtype })) });
  expect(required(files.tensors.get('a.weight'), 'the weight').dtype).toBe(type);
  const values = await files.readFloat32('a.weight');
  const bits = type === 'BF16' ? 8 : 11;
  for (const [i, value] of values.entries()) {
    const whole = Math.fround((LEVELS[codeAt(i)] as number) * Math.fround(i < 16 ? 1.2345 : 10 ** Math.floor(i / 16)));
    expect(Math.abs(value - whole)).toBeLessThanOrEqual(Math.abs(whole) * 2 ** -bits);
    expect(Number.isInteger((value / 2 ** Math.floor(Math.log2(Math.abs(value) || 1))) * 2 ** (bits - 1))).toBe(true);
  }
  expect((await files.readRaw('a.weight')).length).toBe(66);
  expect((await files.readBfloat16('a.weight'))?.length).toBe(type === 'BF16' ? 33 : undefined);
});

test.each<[string, Readonly<Record<string, StoredTensor | undefined>>, RegExp]>([
  ['scales are missing', { 'a.weight.absmax': undefined }, /a\.weight\.absmax": is missing/],
  ['there are too few scales', { 'a.weight.absmax': f32(1, 2) }, /a\.weight\.absmax": is F32 \[2\], not F32 \[3\]/],
  ['levels are codes', { 'a.weight.quant_map': u8(new Uint8Array(16)) }, /quant_map": is U8 \[16\], not F32 \[16\]/],
  [
    'the record has another shape',
    { 'a.weight.quant_state.bitsandbytes__fp4': u8(record({ shape: [2 ** 40, 2 ** 40] })) },
    /has 17 bytes, and its record describes \[1099511627776, 1099511627776\] in 4 bits/,
  ],
  ['the record lacks a key', { 'a.weight.quant_state.bitsandbytes__fp4': u8(record({ blocksize: 0 })) }, /cannot be read.*blocksize/s],
  [
    'the record is no JSON',
    { 'a.weight.quant_state.bitsandbytes__fp4': u8(Uint8Array.of(1, 2, 3)) },
    /a\.weight": has a record .* cannot be read/,
  ],
  ['the record is too long', { 'a.weight.quant_state.bitsandbytes__fp4': u8(new Uint8Array(5000)) }, /has 5000 bytes, which is no record/],
])('%s: refused by name', async (_, change, message) => {
  await expect(open(change)).rejects.toThrow(message);
});

test('a record without its weight, and files without such weights, are left as they are', async () => {
  const others = filesOf({ 'a.bias': plain['a.bias'] });
  expect(await withBnbWeights(others, 'x')).toBe(others);
  const alone = await open({ 'a.weight': undefined });
  expect(alone.tensors.has('a.weight.quant_state.bitsandbytes__fp4')).toBe(true);
});

test('a model that bitsandbytes saved has the shapes of its config', async () => {
  const model = await openModel(goldenPath('qwen3_bnb4'));
  expect(model.weights.tensors.get('model.layers.0.mlp.down_proj.weight')).toMatchObject({ dtype: 'BF16', shape: [128, 192] });
  expect([...model.weights.tensors.keys()].filter(name => /absmax|quant/.test(name))).toEqual([]);
  await model.weights.close();
});
