/** Tests floats in few bits with scales by columns: microscaling formats of compressed-tensors, and Model Optimizer. */
import { expect, test } from 'vitest';
import { withCodedWeights } from '../../../trainer/format/coded/coded-weights.ts';
import type { WeightFiles } from '../../../trainer/format/weight-files.ts';
import { filesOf, type StoredTensor } from './files-of.ts';

type Stored = Readonly<Record<string, StoredTensor | undefined>>;

const open = (stored: Stored, how: object): WeightFiles =>
  withCodedWeights(
    filesOf(Object.fromEntries(Object.entries(stored).flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : [])))),
    { quantization_config: how },
    'model.safetensors',
  );
const f32 = (shape: readonly number[], values: readonly number[]): StoredTensor => ['F32', shape, Float32Array.from(values)];

/** Two rows of 64 codes whose bits are one sequence, with an exponent for 32 of them. */
const microscaled = (bits: 4 | 6 | 8, codes: (i: number) => number): Stored => {
  const bytes = new Uint8Array(2 * 8 * bits);
  for (let i = 0; i < 2 * 64 * bits; i++)
    if ((codes(Math.floor(i / bits)) >> (i % bits)) & 1) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (1 << (i & 7));
  const scales: StoredTensor = ['U8', [2, 2], Uint8Array.of(127, 128, 126, 120)];
  return bits === 8
    ? { 'a.weight': ['F8_E4M3', [2, 64], bytes], 'a.weight_scale': scales }
    : { 'a.weight_packed': ['U8', [2, 8 * bits], bytes], 'a.weight_scale': scales };
};
const mxConfig = (bits: number, format: string) => {
  const weights = { num_bits: bits, type: 'float', strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' };
  return { quant_method: 'compressed-tensors', format, config_groups: { group_0: { weights } } };
};

/** The number of a code by the definition of floats with so many bits for the exponent and the fraction. */
function floatOf(code: number, exponentBits: number, fractionBits: number, bias: number): number {
  const exponent = (code >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (code & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const size = exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
  return code >> (exponentBits + fractionBits) ? -size : size;
}

test.each([
  ['mxfp4-pack-quantized', 4, [2, 1, 1]],
  ['mxfp6-pack-quantized', 6, [2, 3, 1]],
  ['mxfp8-quantized', 8, [4, 3, 7]],
] as const)('%s', async (format, bits, [exponentBits, fractionBits, bias]) => {
  // E4M3 has no number for the code 127.
  const codes = (i: number): number => (i * 37 + 5) % Math.min(2 ** bits, 127);
  const files = open(microscaled(bits, codes), mxConfig(bits, format));
  const expected = Float32Array.from({ length: 128 }, (_, i) => {
    return floatOf(codes(i), exponentBits, fractionBits, bias) * ([1, 2, 0.5, 2 ** -7][i >> 5] as number);
  });
  expect([...files.tensors.values()]).toEqual([expect.objectContaining({ name: 'a.weight', shape: [2, 64], dtype: 'BF16' })]);
  expect(await files.readFloat32('a.weight')).toEqual(expected);
  expect(await files.readPart('a.weight', 50, 40)).toEqual(expected.slice(50, 90));
});

const modelopt = {
  'a.weight': ['U8', [2, 16], Uint8Array.from({ length: 32 }, (_, i) => (i * 29 + 3) % 256)],
  'a.weight_scale': ['F8_E4M3', [2, 2], Uint8Array.of(0x38, 0x40, 0x30, 0x28)],
  'a.weight_scale_2': f32([], [0.5]),
  'a.input_scale': f32([], [3]),
  'b.weight': ['F8_E4M3', [1, 2], Uint8Array.of(0x38, 0xc0)],
  'b.weight_scale': f32([], [0.25]),
  'k_proj.k_scale': f32([1], [1]),
} as const satisfies Stored;
const modeloptConfig = { quant_method: 'modelopt', quant_algo: 'MIXED_PRECISION' };

test('Model Optimizer multiplies by a scale of all, and says by types how a layer is stored', async () => {
  const files = open(modelopt, modeloptConfig);
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'b.weight']);
  expect(files.tensors.get('a.weight')).toMatchObject({ shape: [2, 32], dtype: 'BF16', quantization: 'nvfp4' });
  const expected = Float32Array.from({ length: 64 }, (_, i) => {
    const byte = ((i >> 1) * 29 + 3) % 256;
    return floatOf(i & 1 ? byte >> 4 : byte & 15, 2, 1, 1) * ([1, 2, 0.5, 0.25][i >> 4] as number) * 0.5;
  });
  expect(await files.readFloat32('a.weight')).toEqual(expected);
  expect([...(await files.readFloat32('b.weight'))]).toEqual([0.25, -0.5]);
});

test.each<readonly [string, Stored, object, RegExp]>([
  [
    'exponents of other columns',
    { ...microscaled(4, () => 0), 'a.weight_scale': ['U8', [2, 3], new Uint8Array(6)] },
    mxConfig(4, 'mxfp4-pack-quantized'),
    /"a\.weight_packed": is \[2, 32\], which is not 3 groups of 32 columns/,
  ],
  [
    'exponents of other rows',
    { ...microscaled(6, () => 0), 'a.weight_scale': ['U8', [1, 2], new Uint8Array(2)] },
    mxConfig(6, 'mxfp6-pack-quantized'),
    /"a\.weight_scale": is \[1, 2\], not \[2, 2\]/,
  ],
  [
    'zeros of floats',
    { ...microscaled(4, () => 0), 'a.weight_zero_point': ['U8', [2, 2], new Uint8Array(4)] },
    mxConfig(4, 'mxfp4-pack-quantized'),
    /"a\.weight_zero_point": is a zero of floats/,
  ],
  ['no scale of all', { ...modelopt, 'a.weight_scale_2': undefined }, modeloptConfig, /"a\.weight_scale_2": is missing/],
  [
    'a scale for other columns',
    { ...modelopt, 'a.weight_scale': ['F8_E4M3', [2, 1], Uint8Array.of(1, 2)] },
    modeloptConfig,
    /"a\.weight_scale": is \[2, 1\], not \[2, 2\]/,
  ],
  [
    'scaled inputs',
    { ...modelopt, 'a.pre_quant_scale': f32([32], Array(32).fill(1)) },
    modeloptConfig,
    /"a\.pre_quant_scale": changes the inputs/,
  ],
  [
    'a scale of plain numbers in Model Optimizer',
    { ...modelopt, 'b.weight': f32([1, 2], [1, 2]) },
    modeloptConfig,
    /"b\.weight": is F32, but/,
  ],
])('%s: an error names the tensor', (_, stored, how, message) => {
  expect(() => open(stored, how)).toThrow(message);
});
