/** Tests weights in 8-bit floats with scales: per block, per matrix, and scales that do not fit. */
import { expect, test } from 'vitest';
import { fp8Block, withFp8Weights } from '../../../trainer/format/fp8-weights.ts';
import { filesOf } from './files-of.ts';

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
  const files = withFp8Weights(filesOf(blocks), 'x', [2, 3]);
  expect([...files.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
  expect(files.tensors.get('a.weight')).toMatchObject({ dtype: 'F32', quantization: 'F8_E4M3', shape: [3, 5] });
  expect(await files.readFloat32('a.weight')).toEqual(expected);
  expect(await files.readPart('a.weight', 4, 8)).toEqual(expected.slice(4, 12));
  expect(new Float32Array((await files.readRaw('a.weight')).buffer)).toEqual(expected);
  expect(await files.readFloat32('a.bias')).toEqual(Float32Array.of(1, 2, 3));
});

test('all 256 codes have their values', async () => {
  const all = Uint8Array.from({ length: 256 }, (_, code) => code);
  const files = withFp8Weights(filesOf({ w: ['F8_E4M3', [16, 16], all], w_scale_inv: ['F32', [1, 1], Float32Array.of(1)] }), 'x');
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
  const files = withFp8Weights(filesOf(whole), 'x', [2, 3]);
  expect([...files.tensors.keys()]).toEqual(['a.weight']);
  expect(await files.readFloat32('a.weight')).toEqual(Float32Array.from(codes, code => 2 * numberOf(code)));
});

test('scales of another block are refused with both shapes', () => {
  expect(() => withFp8Weights(filesOf(blocks), 'x')).toThrow(
    /a\.weight_scale_inv.* is \[2, 2\], which does not fit blocks of 128 × 128 in a\.weight \[3, 5\].*weight_block_size/s,
  );
});

test('scales under another name are refused, since the codes alone are not the weight', () => {
  const other = { 'a.weight': blocks['a.weight'], 'a.weight_scale': ['F32', [], Float32Array.of(2)] } as const;
  expect(() => withFp8Weights(filesOf(other), 'x')).toThrow(/"a\.weight_scale": is a scale of another form than scale_inv/);
});

test('files without such weights are left as they are', () => {
  const plain = filesOf({ 'a.bias': blocks['a.bias'] });
  expect(withFp8Weights(plain, 'x')).toBe(plain);
});

test('the block size comes from the config, or else is 128 × 128', () => {
  expect(fp8Block({ quantization_config: { quant_method: 'fp8', weight_block_size: [64, 32] } })).toEqual([64, 32]);
  expect(fp8Block({ quantization_config: { quant_method: 'fp8', weight_block_size: null } })).toEqual([128, 128]);
  expect(fp8Block({})).toEqual([128, 128]);
});
