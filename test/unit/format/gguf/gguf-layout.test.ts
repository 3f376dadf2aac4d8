/** Tests the order of a file's rows and columns: by hand for the value heads of Qwen3.5, and in both directions for every tensor. */
import { expect, test } from 'vitest';
import { ggufFamilies } from '../../../../trainer/format/gguf/families/gguf-families.ts';
import { inFileOrder, inModelOrder, layoutOf, shapeInFile, shapeInModel } from '../../../../trainer/format/gguf/gguf-layout.ts';
import { valueFor } from '../../../../trainer/narrow.ts';

const families = new Map(Object.entries(ggufFamilies));
const [qwen35, qwen3Next] = [valueFor(families, 'qwen35'), valueFor(families, 'qwen3next')];
/** Two key heads of 2 features and six value heads: three neighbors share one key head. */
const sizes = { heads: 2, kvHeads: 1, state: { keyHeads: 2, heads: 6 } };

/** Values that show their origin: 0, 1, 2, … */
const counted = (shape: readonly number[]): Float32Array => Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => i);

/** Heads 0 to 2 read the first key head, and 3 to 5 the second. The file has the first of each, then the second, then the third. */
const TURNS = [0, 3, 1, 4, 2, 5];
const inPairs = TURNS.flatMap(head => [2 * head, 2 * head + 1]);

test.each([
  ['blk.0.ssm_alpha.weight', [6, 1], TURNS],
  ['blk.0.ssm_beta.weight', [6, 1], TURNS],
  ['blk.0.ssm_dt.bias', [6], TURNS],
  ['blk.0.attn_gate.weight', [12, 1], inPairs],
  ['blk.0.attn_qkv.weight', [20, 1], [0, 1, 2, 3, 4, 5, 6, 7, ...inPairs.map(row => 8 + row)]],
  ['blk.0.ssm_conv1d.weight', [20, 1], [0, 1, 2, 3, 4, 5, 6, 7, ...inPairs.map(row => 8 + row)]],
  ['blk.0.ssm_out.weight', [1, 12], inPairs],
  ['blk.0.ssm_norm.weight', [2], [0, 1]],
  ['blk.0.attn_norm.weight', [2], [1, 2]],
  ['blk.1.attn_q.weight', [8, 1], [0, 1, 2, 3, 4, 5, 6, 7]],
] as const)('%s', (name, shape, expected) => {
  const layout = layoutOf(name, shape, qwen35, sizes);
  expect([...inFileOrder(counted(shape), shape, layout)]).toEqual(expected);
});

test.each([
  ['blk.0.attn_qkv.weight', [20, 3]],
  ['blk.0.attn_gate.weight', [12, 3]],
  ['blk.0.ssm_conv1d.weight', [20, 4]],
  ['blk.0.ssm_out.weight', [3, 12]],
  ['blk.0.attn_norm.weight', [8]],
] as const)('%s: there and back, to the bit', (name, shape) => {
  const layout = layoutOf(name, shape, qwen35, sizes);
  expect(inModelOrder(inFileOrder(counted(shape), shape, layout), shape, layout)).toEqual(counted(shape));
});

test.each(['attn_qkv.weight', 'attn_gate.weight', 'ssm_ba.weight', 'ssm_conv1d.weight', 'ssm_out.weight', 'ssm_norm.weight'])(
  'heads of values of Qwen3-Next stand as in the model: %s',
  name => {
    const layout = layoutOf(`blk.0.${name}`, [12, 12], qwen3Next, sizes);
    expect(inFileOrder(counted([12, 12]), [12, 12], layout)).toEqual(counted([12, 12]));
    expect(layoutOf('blk.0.attn_norm.weight', [2], qwen3Next, sizes).values?.toFile(1)).toBe(2);
  },
);

test('the decay is −e^x in the file', () => {
  const layout = layoutOf('blk.0.ssm_a', [6], qwen35, sizes);
  const values = Float32Array.of(0, 1, 2, -1, -2, 0.5);
  const inFile = inFileOrder(values, [6], layout);
  expect(inFile).toEqual(Float32Array.from(TURNS, head => -Math.exp(values[head] as number)));
  for (const [i, value] of inModelOrder(inFile, [6], layout).entries()) expect(value).toBeCloseTo(values[i] as number, 6);
});

test('convolutions and the gate of a shared expert have no axis of 1 in the file', () => {
  expect(shapeInFile('blk.0.ssm_conv1d.weight', [20, 1, 4], qwen35)).toEqual([20, 4]);
  expect(shapeInModel('blk.0.ssm_conv1d.weight', [20, 4], qwen35)).toEqual([20, 1, 4]);
  expect(shapeInModel('blk.0.ssm_out.weight', [3, 12], qwen35)).toEqual([3, 12]);
  expect(shapeInFile('blk.0.ffn_gate_inp_shexp.weight', [1, 8], qwen3Next)).toEqual([8]);
  expect(shapeInModel('blk.0.ffn_gate_inp_shexp.weight', [8], qwen3Next)).toEqual([1, 8]);
});
