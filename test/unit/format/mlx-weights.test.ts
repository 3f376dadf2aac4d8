/** Tests weights of MLX: codes that cross bytes and words, all kinds of scales, layers of their own, and parts that do not fit. */
import { expect, test } from 'vitest';
import { withCodedWeights } from '../../../trainer/format/coded/coded-weights.ts';
import type { WeightFiles } from '../../../trainer/format/weight-files.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { required } from '../../../trainer/narrow.ts';
import { goldenPath } from '../hub/model-bytes.ts';
import { filesOf, type StoredTensor } from './files-of.ts';

type Stored = Readonly<Record<string, StoredTensor>>;

const open = (stored: Stored, quantization: object): WeightFiles =>
  withCodedWeights(filesOf(stored), { quantization }, 'model.safetensors');

const WIDTH = 64;
const codeAt = (bits: number, row: number, column: number): number => (row * 11 + column * 7 + row * column) % 2 ** bits;

/** Packs two rows of codes as one sequence of bits each, the lowest bit first. */
function packed(bits: number): Uint8Array {
  const rowBytes = (WIDTH * bits) / 8;
  const bytes = new Uint8Array(2 * rowBytes);
  for (const row of [0, 1])
    for (let i = 0; i < WIDTH * bits; i++)
      if ((codeAt(bits, row, Math.floor(i / bits)) >> (i % bits)) & 1)
        bytes[row * rowBytes + (i >> 3)] = (bytes[row * rowBytes + (i >> 3)] ?? 0) | (1 << (i & 7));
  return bytes;
}

const bytes = (count: number, value: number): Uint8Array => new Uint8Array(count).fill(value);
const twice = (data: Float32Array | Uint8Array): Float32Array | Uint8Array =>
  data instanceof Float32Array ? new Float32Array([...data, ...data]) : new Uint8Array([...data, ...data]);

const affine = (bits: number): Stored => ({
  'a.weight': ['U32', [2, (WIDTH * bits) / 32], packed(bits)],
  'a.scales': ['F32', [2, 2], Float32Array.of(1, 2, 3, 4)],
  'a.biases': ['F32', [2, 2], Float32Array.of(-8, 0.5, 0, 100)],
  'a.bias': ['F32', [2], Float32Array.of(1, 2)],
});
const valuesOf = (bits: number): Float32Array =>
  Float32Array.from({ length: 2 * WIDTH }, (_, i) => {
    const [row, column] = [Math.floor(i / WIDTH), i % WIDTH];
    const group = 2 * row + Math.floor(column / 32);
    return codeAt(bits, row, column) * (group + 1) + ([-8, 0.5, 0, 100][group] as number);
  });

test.each([2, 3, 4, 5, 6, 8])('codes of %i bits', async bits => {
  const files = open(affine(bits), { group_size: 32, bits });
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
  expect(files.tensors.get('a.weight')).toMatchObject({ dtype: 'F32', shape: [2, WIDTH], quantization: `mlx${bits}` });
  expect(await files.readFloat32('a.weight')).toEqual(valuesOf(bits));
  for (const begin of [0, 5, 63, 70]) expect(await files.readPart('a.weight', begin, 40)).toEqual(valuesOf(bits).slice(begin, begin + 40));
});

test('experts are stacks with other names in MLX, as are their settings', async () => {
  const one = affine(8);
  const parts = { weight: 'U32', scales: 'F32', biases: 'F32' } as const;
  const stacked = Object.entries(parts).map(([part, dtype]): [string, StoredTensor] => {
    const [, shape, data] = required(one[`a.${part}`], part);
    return [`layers.0.mlp.experts.up_proj.${part}`, [dtype, [2, ...shape], twice(data)]];
  });
  const settings = { group_size: 32, bits: 8 };
  const files = open(Object.fromEntries(stacked), { group_size: 64, bits: 4, 'layers.0.mlp.switch_mlp.up_proj': settings });
  const name = 'layers.0.mlp.experts.up_proj.weight';
  expect([...files.tensors.values()]).toEqual([expect.objectContaining({ name, shape: [2, 2, WIDTH], quantization: 'mlx8' })]);
  const expected = new Float32Array([...valuesOf(8), ...valuesOf(8)]);
  expect(await files.readFloat32(name)).toEqual(expected);
  expect(await files.readPart(name, 100, 90)).toEqual(expected.slice(100, 190));
});

const changed = {
  'a.weight': ['U32', [1, 4], bytes(16, 0)],
  'a.scales': ['F32', [1, 1], Float32Array.of(1)],
  'a.biases': ['F32', [1, 1], Float32Array.of(0)],
  'model.layers.0.linear_attn.conv1d.weight': ['F32', [2, 3, 1], Float32Array.of(1, 2, 3, 4, 5, 6)],
  'model.layers.0.linear_attn.norm.weight': ['F32', [2], Float32Array.of(1, 2)],
  'model.layers.0.input_layernorm.weight': ['F32', [2], Float32Array.of(1, 1.5)],
  'model.norm.weight': ['F32', [2], Float32Array.of(0.25, 0)],
} as const satisfies Stored;
const FILTER = 'model.layers.0.linear_attn.conv1d.weight';

test.each([
  ['qwen3_next', [2, 1, 3], [0, 0.5], [-0.75, -1]],
  ['lfm2', [2, 1, 3], [1, 1.5], [0.25, 0]],
  ['granitemoehybrid', [2, 1, 3], [1, 1.5], [0.25, 0]],
  ['jamba', [2, 3, 1], [1, 1.5], [0.25, 0]],
])('filters and norms that mlx-lm changes for %s', async (type, shape, norm, last) => {
  const files = withCodedWeights(filesOf(changed), { model_type: type, quantization: { group_size: 32, bits: 4 } }, 'x');
  expect(files.tensors.get(FILTER)?.shape).toEqual(shape);
  expect([...(await files.readFloat32(FILTER))]).toEqual([1, 2, 3, 4, 5, 6]);
  expect([...(await files.readPart(FILTER, 2, 3))]).toEqual([3, 4, 5]);
  expect([...(await files.readFloat32('model.layers.0.input_layernorm.weight'))]).toEqual(norm);
  expect([...(await files.readFloat32('model.norm.weight'))]).toEqual(last);
  expect([...(await files.readFloat32('model.layers.0.linear_attn.norm.weight'))]).toEqual([1, 2]);
});

test('weights that mlx-lm multiplies are refused, and those of Hugging Face are not', () => {
  const config = { model_type: 'falcon_h1', quantization: { group_size: 32, bits: 4 } };
  expect(() => withCodedWeights(filesOf(changed), config, 'model.safetensors')).toThrow(
    'model.safetensors: has weights that mlx-lm multiplied by the factors of config.json and rounded: those of falcon_h1 are not in it. Use the folder',
  );
  const stored: Stored = { ...changed, [FILTER]: ['F32', [2, 1, 3], Float32Array.of(1, 2, 3, 4, 5, 6)] };
  expect(() => withCodedWeights(filesOf(stored), config, 'model.safetensors')).not.toThrow();
});

test('filters and norms of weights that MLX does not quantize', async () => {
  const { 'a.weight': _codes, 'a.scales': _scales, 'a.biases': _biases, ...plain } = changed;
  const files = withCodedWeights(filesOf(plain), { text_config: { model_type: 'qwen3_5_text' } }, 'x');
  expect(files.tensors.get(FILTER)?.shape).toEqual([2, 1, 3]);
  expect([...(await files.readFloat32('model.norm.weight'))]).toEqual([-0.75, -1]);
});

test('norms next to filters as Hugging Face stores them have no one added', async () => {
  const stored: Stored = { ...changed, [FILTER]: ['F32', [2, 1, 3], Float32Array.of(1, 2, 3, 4, 5, 6)] };
  const files = withCodedWeights(filesOf(stored), { model_type: 'qwen3_next', quantization: { group_size: 32, bits: 4 } }, 'x');
  expect([...(await files.readFloat32('model.norm.weight'))]).toEqual([0.25, 0]);
});

test('settings of a layer without a size of groups have the usual one', async () => {
  const wide: Stored = {
    ...affine(4),
    'a.scales': ['F32', [2, 1], Float32Array.of(1, 2)],
    'a.biases': ['F32', [2, 1], Float32Array.of(0, 0)],
  };
  const files = open(wide, { group_size: 32, bits: 8, a: { bits: 4 } });
  expect((await files.readFloat32('a.weight'))[WIDTH + 1]).toBe(2 * codeAt(4, 1, 1));
});

test('settings of a layer that name no mode are affine', async () => {
  const files = open(affine(8), { group_size: 32, bits: 4, mode: 'mxfp4', a: { group_size: 32, bits: 8 } });
  expect(await files.readFloat32('a.weight')).toEqual(valuesOf(8));
});

test('a layer with a name in the config has settings of its own', async () => {
  const files = open(affine(8), { group_size: 64, bits: 4, a: { group_size: 32, bits: 8 } });
  expect(await files.readFloat32('a.weight')).toEqual(valuesOf(8));
});

test.each([
  ['mxfp4', 32, 4, 0x21, 128, [1, 2]],
  ['mxfp8', 32, 8, 0x38, 126, [0.5, 0.5]],
  ['nvfp4', 16, 4, 0x9f, 0x38, [-6, -0.5]],
] as const)('%s', async (mode, groupSize, bits, code, scale, expected) => {
  const groups = WIDTH / groupSize;
  const stored: Stored = {
    'a.weight': ['U32', [2, (WIDTH * bits) / 32], bytes((2 * WIDTH * bits) / 8, code)],
    'a.scales': ['U8', [2, groups], bytes(2 * groups, scale)],
  };
  const files = open(stored, { group_size: groupSize, bits, mode });
  expect([...files.tensors.keys()]).toEqual(['a.weight']);
  expect((await files.readFloat32('a.weight')).slice(0, 2)).toEqual(Float32Array.from(expected));
});

test.each<readonly [string, Stored, object, RegExp]>([
  [
    'other bits',
    affine(4),
    { group_size: 32, bits: 4, a: { group_size: 32, bits: 8 } },
    /"a\.weight": is \[2, 8\], which does not fit 2 groups/,
  ],
  ['other groups', affine(4), { group_size: 128, bits: 4 }, /"a\.weight": is \[2, 8\], which does not fit 2 groups of 128/],
  ['another mode', affine(4), { group_size: 32, bits: 4, a: { group_size: 32, bits: 4, mode: 'int4' } }, /"a\.weight": has the mode int4/],
  ['no biases', { ...affine(4), 'a.biases': ['I8', [0], new Uint8Array()] }, { group_size: 32, bits: 4 }, /"a\.biases": is I8/],
  [
    'experts with the scales of one',
    { ...affine(4), 'a.weight': ['U32', [2, 1, 8], packed(4)] },
    { group_size: 32, bits: 4 },
    /"a\.scales": is \[2, 2\], not \[2, 1, 2\]/,
  ],
  ['no scales of bytes', affine(4), { group_size: 32, bits: 4, mode: 'mxfp4' }, /"a\.scales": is F32, not U8/],
])('%s: an error names the tensor', (_, stored, how, message) => {
  expect(() => open(stored, how)).toThrow(message);
});

test.each(['qwen3_mlx', 'qwen3_mlx_floats'])('%s is listed as its plain tensors', async folder => {
  const model = await openModel(goldenPath(folder));
  const tensors = [...model.weights.tensors.values()];
  expect(tensors.map(({ name }) => name).every(name => name.endsWith('.weight'))).toBe(true);
  expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(['BF16']));
  expect(tensors.length).toBe(13);
  await model.weights.close();
});
