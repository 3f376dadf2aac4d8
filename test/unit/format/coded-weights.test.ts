/** Tests weights of compressed-tensors, GPTQ and AWQ: values, reading in parts, settings, and parts that do not fit each other. */
import { describe, expect, test } from 'vitest';
import { codedFormOf, unreadKeyOf } from '../../../trainer/catalog/coded-forms.ts';
import { withCodedWeights } from '../../../trainer/format/coded/coded-weights.ts';
import type { WeightFiles } from '../../../trainer/format/weight-files.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { goldenPath } from '../hub/model-bytes.ts';
import { filesOf, type StoredTensor } from './files-of.ts';

type Stored = Readonly<Record<string, StoredTensor | undefined>>;

const open = (stored: Stored, how: object): WeightFiles =>
  withCodedWeights(
    filesOf(Object.fromEntries(Object.entries(stored).flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : [])))),
    { quantization_config: how },
    'model.safetensors',
  );

const words = (values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values, value => value >>> 0).buffer);
const longs = (...values: number[]): Uint8Array => new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
/** Packs codes from the lowest bits of a word on. */
const pack = (codes: readonly number[], bits: number): number => codes.reduce((word, code, i) => word + code * 2 ** (i * bits), 0);
const f32 = (shape: readonly number[], values: readonly number[]): StoredTensor => ['F32', shape, Float32Array.from(values)];

/** A matrix of 8 rows and 8 columns in 4 bits, with two groups of columns. */
const code = (row: number, column: number): number => (row * 5 + column * 3 + row * column) % 16;
const each = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const scaleOf = (row: number, group: number): number => 1 + row + 10 * group;
const zeroOf = (row: number, group: number): number => 1 + ((row + 7 * group) % 15);
const even = (column: number): number => column >> 2;
const valuesBy = (groupOf: (column: number) => number): Float32Array =>
  Float32Array.from({ length: 64 }, (_, i) => {
    const [row, column] = [i >> 3, i & 7];
    return (code(row, column) - zeroOf(row, groupOf(column))) * scaleOf(row, groupOf(column));
  });
const scalesByGroup = f32(
  [2, 8],
  [0, 1].flatMap(group => each(8).map(row => scaleOf(row, group))),
);
const mixed = [1, 0, 0, 1, 1, 1, 0, 0];
const order: StoredTensor = ['I32', [8], words(mixed)];

/** The codes of each row in a word. */
const codesOfRows = words(
  each(8).map(row =>
    pack(
      each(8).map(column => code(row, column)),
      4,
    ),
  ),
);
/** The zeros of each group in a word. @param rows in the order of the word */
const zerosOf = (rows: readonly number[]): Uint8Array =>
  words(
    [0, 1].map(group =>
      pack(
        rows.map(row => zeroOf(row, group)),
        4,
      ),
    ),
  );

const gptq = {
  'a.qweight': ['I32', [1, 8], codesOfRows],
  'a.qzeros': ['I32', [2, 1], zerosOf(each(8))],
  'a.scales': scalesByGroup,
  'a.g_idx': order,
  'a.bias': f32([8], each(8)),
} as const satisfies Stored;
const gptqConfig = { quant_method: 'gptq', bits: 4, group_size: 4, desc_act: true, checkpoint_format: 'gptq_v2' };

const IN_WORD = [0, 2, 4, 6, 1, 3, 5, 7];
const awq = {
  'a.qweight': [
    'I32',
    [8, 1],
    words(
      each(8).map(column =>
        pack(
          IN_WORD.map(row => code(row, column)),
          4,
        ),
      ),
    ),
  ],
  'a.qzeros': ['I32', [2, 1], zerosOf(IN_WORD)],
  'a.scales': scalesByGroup,
} as const satisfies Stored;
const awqConfig = { quant_method: 'awq', bits: 4, group_size: 4, zero_point: true, version: 'gemm' };

const packed = {
  'a.weight_packed': ['I32', [8, 1], codesOfRows],
  'a.weight_scale': f32(
    [8, 2],
    each(8).flatMap(row => [0, 1].map(group => scaleOf(row, group))),
  ),
  'a.weight_zero_point': ['I32', [1, 2], zerosOf(each(8))],
  'a.weight_shape': ['I64', [2], longs(8, 8)],
  'a.input_scale': f32([1], [1]),
} as const satisfies Stored;
const groupOfBits = (bits: number, size: number | null = 4) => ({ weights: { num_bits: bits, type: 'int', group_size: size } });
const packedConfig = { quant_method: 'compressed-tensors', format: 'pack-quantized', config_groups: { group_0: groupOfBits(4) } };

const autoRound = (packing: string) => ({ quant_method: 'auto-round', bits: 4, group_size: 4, packing_format: packing });

describe.each([
  ['GPTQ', gptq, gptqConfig, (column: number) => mixed[column] as number],
  ['GPTQ in order', { ...gptq, 'a.g_idx': undefined }, { ...gptqConfig, desc_act: false }, even],
  ['GPTQ without a known order', { ...gptq, 'a.g_idx': ['I32', [8], words(Array(8).fill(0))] }, gptqConfig, even],
  ['GPTQ with an order of this layer alone', gptq, { ...gptqConfig, desc_act: false }, (column: number) => mixed[column] as number],
  ['AWQ', awq, awqConfig, even],
  ['AutoRound in the words of GPTQ', { ...gptq, 'a.g_idx': undefined }, autoRound('auto_round:gptqmodel'), even],
  [
    'AutoRound with settings of a layer',
    { ...gptq, 'a.g_idx': undefined },
    { ...autoRound('auto_round'), bits: 8, group_size: 8, extra_config: { a: { bits: 4, group_size: 4 } } },
    even,
  ],
  ['AutoRound in the words of AWQ', awq, autoRound('auto_round:auto_awq'), even],
  ['packed words', packed, packedConfig, even],
  ['packed words with an order', { ...packed, 'a.weight_g_idx': order }, packedConfig, (column: number) => mixed[column] as number],
  ['packed words without a known order', { ...packed, 'a.weight_g_idx': ['I32', [8], words(Array(8).fill(-1))] }, packedConfig, even],
] as const)('%s', (_, stored: Stored, how, groupOf) => {
  const expected = valuesBy(groupOf);

  test('has the values of its codes, and nothing else of it is a tensor', async () => {
    const files = open(stored, how);
    expect([...files.tensors.keys()]).toEqual('a.bias' in stored ? ['a.weight', 'a.bias'] : ['a.weight']);
    expect(files.tensors.get('a.weight')).toMatchObject({ name: 'a.weight', dtype: 'F32', shape: [8, 8] });
    expect(await files.readFloat32('a.weight')).toEqual(expected);
  });

  test.each([0, 1, 7, 8, 30, 53])('a part from value %i on is that part', async begin => {
    expect(await open(stored, how).readPart('a.weight', begin, 11)).toEqual(expected.slice(begin, begin + 11));
  });
});

test.each([
  ['GPTQ', { ...gptqConfig, checkpoint_format: undefined }],
  ['AutoRound', autoRound('auto_round:auto_gptq')],
])('the first version of GPTQ stores zeros minus one: %s', async (_, how) => {
  const less = [0, 1].map(group =>
    pack(
      each(8).map(row => zeroOf(row, group) - 1),
      4,
    ),
  );
  const files = open({ ...gptq, 'a.qzeros': ['I32', [2, 1], words(less)] }, how);
  expect(await files.readFloat32('a.weight')).toEqual(valuesBy(column => mixed[column] as number));
});

test('GPTQ in 8 bits has four codes in a word', async () => {
  const eight = each(2).flatMap(part =>
    each(8).map(row =>
      pack(
        each(4).map(i => 100 + code(row, 4 * part + i)),
        8,
      ),
    ),
  );
  const zeros = each(2).flatMap(group =>
    each(2).map(part =>
      pack(
        each(4).map(i => 99 + zeroOf(4 * part + i, group)),
        8,
      ),
    ),
  );
  const stored = { ...gptq, 'a.qweight': ['I32', [2, 8], words(eight)], 'a.qzeros': ['I32', [2, 2], words(zeros)] } as const;
  const files = open(stored, { ...gptqConfig, bits: 8, checkpoint_format: 'gptq' });
  expect(await files.readFloat32('a.weight')).toEqual(valuesBy(column => mixed[column] as number));
});

/** Packs codes of 3 bits as one sequence, in words. */
function threes(codes: readonly number[]): number[] {
  const bits = codes.flatMap(each => [each & 1, (each >> 1) & 1, each >> 2]);
  return Array.from({ length: bits.length / 32 }, (_, i) =>
    bits.slice(32 * i, 32 * i + 32).reduce((word, bit, j) => word + bit * 2 ** j, 0),
  );
}

test.each([
  ['gptq', 1],
  ['gptq_v2', 0],
] as const)('codes of 3 bits cross words: %s', async (format, less) => {
  const three = (row: number, column: number): number => (row * 5 + column * 3 + row * column) % 8;
  const zero = (row: number, group: number): number => (row + 3 * group) % 8;
  const columns = Array.from({ length: 64 }, (_, i) => i);
  const rows = columns.slice(0, 32);
  // Each row has six words, which alternate with those of other rows.
  const words6 = rows.map(row => threes(columns.map(column => three(row, column))));
  const stored = {
    'a.qweight': ['I32', [6, 32], words(each(6).flatMap(word => rows.map(row => words6[row]?.[word] ?? 0)))],
    'a.qzeros': ['I32', [2, 3], words(each(2).flatMap(group => threes(rows.map(row => (zero(row, group) + 8 - less) % 8))))],
    'a.scales': f32(
      [2, 32],
      each(2).flatMap(group => rows.map(row => scaleOf(row, group))),
    ),
  } as const satisfies Stored;
  const files = open(stored, { quant_method: 'gptq', bits: 3, group_size: 32, checkpoint_format: format });
  const expected = Float32Array.from({ length: 2048 }, (_, i) => {
    const [row, column] = [i >> 6, i & 63];
    return (three(row, column) - zero(row, column >> 5)) * scaleOf(row, column >> 5);
  });
  expect(await files.readFloat32('a.weight')).toEqual(expected);
  expect(await files.readPart('a.weight', 1000, 100)).toEqual(expected.slice(1000, 1100));
});

test('integers in 8 bits have signs, and a scale for a row or for all', async () => {
  const bytes = Uint8Array.of(127, 128, 255, 0, 1, 2);
  const how = { quant_method: 'compressed-tensors', format: 'int-quantized', config_groups: { group_0: groupOfBits(8, null) } };
  const rows = open({ 'a.weight': ['I8', [2, 3], bytes], 'a.weight_scale': f32([2, 1], [1, 10]) }, how);
  expect([...(await rows.readFloat32('a.weight'))]).toEqual([127, -128, -1, 0, 10, 20]);
  const whole = open({ 'a.weight': ['I8', [2, 3], bytes], 'a.weight_scale': f32([1], [2]) }, how);
  expect([...(await whole.readFloat32('a.weight'))]).toEqual([254, -256, -2, 0, 2, 4]);
});

const bnb8 = {
  'a.weight': ['I8', [2, 3], Uint8Array.of(127, 129, 0, 1, 128, 127)],
  'a.SCB': f32([2], [1, 254]),
  'a.weight_format': ['U8', [], Uint8Array.of(0)],
} as const satisfies Stored;
const bnb8Config = { quant_method: 'bitsandbytes', load_in_8bit: true };

test('127 of LLM.int8 is the largest magnitude of its row', async () => {
  const files = open(bnb8, bnb8Config);
  expect([...files.tensors.keys()]).toEqual(['a.weight']);
  expect([...(await files.readFloat32('a.weight'))]).toEqual([1, -1, 0, 2, -256, 254].map(value => expect.closeTo(value, 5)));
  await expect(open({ ...bnb8, 'a.weight_format': ['U8', [], Uint8Array.of(2)] }, bnb8Config).readFloat32('a.weight')).rejects.toThrow(
    /"a\.weight_format": is 2: the codes are in the order of a kernel/,
  );
});

test.each<readonly [string, Stored, object, RegExp]>([
  ['no largest magnitudes', { ...bnb8, 'a.SCB': undefined }, bnb8Config, /"a\.SCB": is missing/],
  ['magnitudes of other rows', { ...bnb8, 'a.SCB': f32([3], [1, 2, 3]) }, bnb8Config, /"a\.SCB": is \[3\], not \[2\]/],
  ['no scales', { ...gptq, 'a.scales': undefined }, gptqConfig, /"a\.scales": is missing/],
  ['other scales', { ...gptq, 'a.scales': f32([2, 7], each(14)) }, gptqConfig, /"a\.scales": is \[2, 7\], not \[2, 8\]/],
  ['no groups', { ...gptq, 'a.scales': f32([0, 8], []) }, gptqConfig, /"a\.qzeros": is \[2, 1\], not \[0, 1\]/],
  ['other zeros', { ...gptq, 'a.qzeros': ['I32', [2, 2], words(each(4))] }, gptqConfig, /"a\.qzeros": is \[2, 2\], not \[2, 1\]/],
  ['no columns', { ...gptq, 'a.g_idx': ['I32', [0], words([])] }, gptqConfig, /"a\.qweight": is \[1, 8\], which is not 0 columns/],
  [
    'words that are not filled with codes of 3 bits',
    { ...gptq, 'a.g_idx': undefined, 'a.qweight': ['I32', [4, 8], words(each(32))] },
    { ...gptqConfig, bits: 3 },
    /"a\.qweight": is \[4, 8\], which is not 42\.6+\d* columns/,
  ],
  ['codes of another type', { ...gptq, 'a.qweight': f32([1, 8], each(8)) }, gptqConfig, /"a\.qweight": is F32, not I32/],
  ['codes of three dimensions', { ...awq, 'a.qweight': ['I32', [2, 4, 1], words(each(8))] }, awqConfig, /is \[2, 4, 1\], not a matrix/],
  ['a weight that is there twice', { ...awq, 'a.weight': f32([1], [1]) }, awqConfig, /"a\.weight": is stored twice: a\.qweight/],
  ['no shape', { ...packed, 'a.weight_shape': undefined }, packedConfig, /"a\.weight_shape": is missing/],
  [
    'a scale of plain numbers',
    { ...packed, 'b.weight': f32([1], [1]), 'b.weight_scale': f32([1], [1]) },
    packedConfig,
    /"b\.weight": is F32, but/,
  ],
  ['bits that do not fit', packed, { ...packedConfig, config_groups: { a: groupOfBits(8) } }, /fit none of the config's groups/],
  [
    'groups that fit alike',
    packed,
    { ...packedConfig, config_groups: { a: groupOfBits(4), b: groupOfBits(8, 2) } },
    /fit several of the config's groups/,
  ],
  ['no config of groups', packed, { ...packedConfig, config_groups: null }, /fit none of the config's groups/],
])('%s: an error names the tensor', (_, stored, how, message) => {
  expect(() => open(stored, how)).toThrow(message);
});

test.each<readonly [string, Stored, object, RegExp]>([
  [
    'a group without a scale',
    { ...gptq, 'a.g_idx': ['I32', [8], words(Array(8).fill(2))] },
    gptqConfig,
    /the group 2, but there are 2 scales/,
  ],
  [
    'another shape',
    { ...packed, 'a.weight_shape': ['I64', [2], longs(8, 7)] },
    packedConfig,
    /describes \[8, 7\], and the codes are \[8, 8\]/,
  ],
])('%s: reading fails', async (_, stored, how, message) => {
  await expect(open(stored, how).readFloat32('a.weight')).rejects.toThrow(message);
});

test.each([
  ['AWQ of Model Optimizer', { quant_method: 'modelopt', quant_algo: 'W4A16_AWQ' }, 'quant_algo'],
  [
    'AWQ in a layer of Model Optimizer',
    {
      quant_method: 'modelopt',
      quant_algo: 'MIXED_PRECISION',
      quantized_layers: { a: { quant_algo: 'NVFP4' }, b: { quant_algo: 'NVFP4_AWQ' } },
    },
    'quantized_layers',
  ],
  ['Model Optimizer without a form', { quant_method: 'modelopt' }, 'quant_algo'],
  ['another packing of AutoRound', autoRound('auto_round:fp8_static'), 'packing_format'],
  ['AWQ of AutoRound in 8 bits', { ...autoRound('auto_round:auto_awq'), bits: 8 }, 'packing_format'],
  ['floats of AutoRound', { ...autoRound('auto_round'), data_type: 'mx_fp' }, 'data_type'],
  ['AutoRound with activations in few bits', { ...autoRound('auto_round'), act_bits: 8 }, 'act_bits'],
  ['bitsandbytes in no bits', { quant_method: 'bitsandbytes', load_in_4bit: false }, 'load_in_4bit'],
  ['another packing of AWQ', { ...awqConfig, version: 'gemv' }, 'version'],
  ['another packing of AWQ by its newer key', { ...awqConfig, version: null, format: 'gemv_fast' }, 'format'],
  ['AWQ in 8 bits', { ...awqConfig, bits: 8 }, 'bits'],
  ['GPTQ without bits', { quant_method: 'gptq' }, 'bits'],
  ['GPTQ in 5 bits', { ...gptqConfig, bits: 5 }, 'bits'],
  ['another packing of GPTQ', { ...gptqConfig, checkpoint_format: 'marlin' }, 'checkpoint_format'],
  ['another packing of GPTQ by its newer key', { ...gptqConfig, format: 'bitblas' }, 'format'],
  ['rotated weights of GPTQ', { ...gptqConfig, rotation: 'hadamard' }, 'rotation'],
  ['sparse weights', { ...packedConfig, sparsity_config: { format: 'sparse-24-bitmask' } }, 'sparsity_config'],
  ['rotated weights', { ...packedConfig, transform_config: { config_groups: { R1: {} } } }, 'transform_config'],
  ['another format', { ...packedConfig, format: 'marlin-24' }, 'format'],
  ['another format of a group', { ...packedConfig, config_groups: { a: { format: 'marlin-24' } } }, 'config_groups'],
])('%s is not read, by name', (_, how, key) => {
  expect(codedFormOf(how)).toBeUndefined();
  expect(unreadKeyOf(how)).toMatchObject({ key });
});

test.each([[['gptq']], [{ quant_method: 'constructor' }], [{ bits: 4 }], [null]])('%j is no known form', how => {
  expect(codedFormOf(how)).toBeUndefined();
  expect(unreadKeyOf(how)).toBeUndefined();
});

test.each([
  'qwen3_compressed',
  'qwen3_compressed_mx',
  'qwen3_gptq',
  'qwen3_gptq3',
  'qwen3_awq',
  'qwen3_bnb8',
  'qwen3_fp8_exponents',
  'qwen3_modelopt',
  'qwen3_auto_round',
])('%s is listed as its plain tensors', async folder => {
  const model = await openModel(goldenPath(folder));
  const names = [...model.weights.tensors.keys()];
  expect(names.every(name => name.endsWith('.weight'))).toBe(true);
  expect(names.length).toBe(14);
  await model.weights.close();
});
