/** Tests weights in 8-bit floats with scales: per block, per matrix, and scales that do not fit. */
import { expect, test } from 'vitest';
import { withCodedWeights } from '../../../trainer/format/coded/coded-weights.ts';
import type { WeightFiles } from '../../../trainer/format/weight-files.ts';
import { filesOf, type StoredTensor } from './files-of.ts';

const open = (stored: Readonly<Record<string, StoredTensor>>, block?: readonly number[] | null, method = 'fp8'): WeightFiles =>
  withCodedWeights(filesOf(stored), { quantization_config: { quant_method: method, weight_block_size: block } }, 'x');

/** Decodes one E4M3 code according to the OCP 8-bit Floating Point Specification. */
function numberOf(code: number): number {
  const [exponent, fraction] = [(code >> 3) & 15, code & 7];
  const size = exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return code & 128 ? -size : size;
}

const codes = Uint8Array.from({ length: 15 }, (_, i) => (i * 53 + 7) % 255);
const scales = Float32Array.of(1, 10, 100, 1000);
const blocks = {
  'a.weight': ['F8_E4M3', [3, 5], codes],
  'a.weight_scale_inv': ['F32', [2, 2], scales],
  'a.bias': ['F32', [3], Float32Array.of(1, 2, 3)],
} as const;
const expected = Float32Array.from(codes, (code, i) => numberOf(code) * (scales[2 * Number(i >= 10) + Number(i % 5 >= 3)] as number));

test('each block has its scale, the last ones may be smaller, and the scales are no tensors any more', async () => {
  const files = open(blocks, [2, 3]);
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
  expect(files.tensors.get('a.weight')).toMatchObject({ dtype: 'F32', quantization: 'F8_E4M3', shape: [3, 5] });
  expect(await files.readFloat32('a.weight')).toEqual(expected);
  expect(await files.readPart('a.weight', 4, 8)).toEqual(expected.slice(4, 12));
  expect(new Float32Array((await files.readRaw('a.weight')).buffer)).toEqual(expected);
  expect(await files.readFloat32('a.bias')).toEqual(Float32Array.of(1, 2, 3));
});

test('all 256 codes have their values', async () => {
  const all = Uint8Array.from({ length: 256 }, (_, code) => code);
  const files = open({ w: ['F8_E4M3', [16, 16], all], w_scale_inv: ['F32', [1, 1], Float32Array.of(1)] });
  const read = await files.readFloat32('w');
  expect([...read].map((value, code) => (code % 128 === 127 ? Number.isNaN(value) : value === numberOf(code)))).toEqual(
    Array(256).fill(true),
  );
});

test('one scale for all of a weight, and one for activations, which are not rounded here', async () => {
  const whole = {
    'a.weight': blocks['a.weight'],
    'a.weight_scale_inv': ['F32', [], Float32Array.of(2)],
    'a.activation_scale': ['F32', [], Float32Array.of(3)],
  } as const;
  const files = open(whole, [2, 3]);
  expect([...files.tensors.keys()]).toEqual(['a.weight']);
  expect(await files.readFloat32('a.weight')).toEqual(Float32Array.from(codes, code => 2 * numberOf(code)));
});

test('scales of another block are refused with both shapes', () => {
  expect(() => open(blocks)).toThrow(
    /a\.weight_scale_inv.* is \[2, 2\], which does not fit blocks of 128 × 128 in a\.weight \[3, 5\].*weight_block_size/s,
  );
});

test('scales under another name are refused, since the codes alone are not the weight', () => {
  const other = { 'a.weight': blocks['a.weight'], 'a.weight_scale': ['F32', [], Float32Array.of(2)] } as const;
  expect(() => open(other)).toThrow(/"a\.weight_scale": is a scale of another form than scale_inv/);
});

test('files without such weights are left as they are', () => {
  const plain = filesOf({ 'a.bias': blocks['a.bias'] });
  expect(withCodedWeights(plain, { quantization_config: { quant_method: 'fp8' } }, 'x')).toBe(plain);
});

test.each([[undefined], [null], ['128'], [[0, 128]], [[128]]])('blocks are 128 × 128 if the config says %j', async size => {
  const codes = new Uint8Array(129).fill(0x38);
  const stored = { a: ['F8_E4M3', [129, 1], codes], a_scale_inv: ['F32', [2, 1], Float32Array.of(2, 4)] } as const;
  const files = withCodedWeights(filesOf(stored), { quantization_config: { quant_method: 'fp8', weight_block_size: size } }, 'x');
  expect((await files.readFloat32('a')).slice(126)).toEqual(Float32Array.of(2, 2, 4));
});

/** Exponents: 1, 2, 1/2, 1/4, and one that stands for no number. */
const exponents = Uint8Array.of(127, 128, 126, 125);
const powers = [1, 2, 0.5, 0.25];

test.each(['F8_E8M0', 'U8'] as const)('scales of the type %s are exponents', async dtype => {
  const files = open({ ...blocks, 'a.weight_scale_inv': [dtype, [2, 2], exponents] }, [2, 3]);
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
  const scaleAt = (i: number): number => powers[2 * Number(i >= 10) + Number(i % 5 >= 3)] as number;
  expect(await files.readFloat32('a.weight')).toEqual(Float32Array.from(codes, (code, i) => numberOf(code) * scaleAt(i)));
  const none = open({ ...blocks, 'a.weight_scale_inv': [dtype, [2, 2], new Uint8Array(4).fill(255)] }, [2, 3]);
  expect((await none.readFloat32('a.weight')).every(Number.isNaN)).toBe(true);
});

test.each(['fp8', 'mxfp8'])('blocks of 1 × 32 need no size in a config of %s', async method => {
  const wide = Uint8Array.from({ length: 2 * 64 }, (_, i) => (i * 53 + 7) % 127);
  const stored = { a: ['F8_E4M3', [2, 64], wide], a_scale_inv: ['U8', [2, 2], exponents] } as const;
  const expected = Float32Array.from(wide, (code, i) => numberOf(code) * (powers[i >> 5] as number));
  const files = open(stored, undefined, method);
  expect(await files.readFloat32('a')).toEqual(expected);
  expect(await files.readPart('a', 30, 70)).toEqual(expected.slice(30, 100));
});

test('experts are a stack: the blocks of each matrix begin anew', async () => {
  const all = Uint8Array.from({ length: 30 }, (_, i) => (i * 53 + 7) % 127);
  const stored = {
    'experts.down_proj': ['F8_E4M3', [2, 3, 5], all],
    'experts.down_proj_scale_inv': ['F32', [2, 2, 2], Float32Array.of(1, 10, 100, 1000, 2, 20, 200, 2000)],
  } as const;
  const files = open(stored, [2, 3]);
  const expected = Float32Array.from(all, (code, i) => {
    const [matrix, row, column] = [Math.floor(i / 15), Math.floor(i / 5) % 3, i % 5];
    return Math.fround(numberOf(code) * (matrix + 1) * 10 ** (2 * Number(row >= 2) + Number(column >= 3)));
  });
  expect([...files.tensors.keys()]).toEqual(['experts.down_proj']);
  expect(await files.readFloat32('experts.down_proj')).toEqual(expected);
  expect(await files.readPart('experts.down_proj', 13, 12)).toEqual(expected.slice(13, 25));
  const one = open({ ...stored, 'experts.down_proj_scale_inv': ['F32', [2, 1, 1], Float32Array.of(1, 2)] }, null);
  expect(await one.readFloat32('experts.down_proj')).toEqual(Float32Array.from(all, (code, i) => numberOf(code) * (i < 15 ? 1 : 2)));
});

test.each<readonly [string, Readonly<Record<string, StoredTensor>>, RegExp]>([
  [
    'scales of integers',
    { ...blocks, 'a.weight_scale_inv': ['I8', [2, 2], exponents] },
    /"a\.weight_scale_inv": is I8, not F16 or .* or F8_E8M0 or U8/,
  ],
  [
    'a tensor of four dimensions',
    { ...blocks, 'a.weight': ['F8_E4M3', [1, 1, 3, 5], codes] },
    /"a\.weight": is \[1, 1, 3, 5\], not a matrix or a stack/,
  ],
  ['a matrix that no memory holds', { ...blocks, 'a.weight': ['F8_E4M3', [2 ** 30, 2 ** 30], codes] }, /which no weight has/],
  [
    'one scale for several matrices',
    { a: ['F8_E4M3', [2, 1, 2], codes.slice(0, 4)], a_scale_inv: ['F32', [1], Float32Array.of(1)] },
    /"a_scale_inv": is \[1\]/,
  ],
])('%s: an error names the tensor', (_, stored, message) => {
  expect(() => open(stored, [2, 3])).toThrow(message);
});
