/** Tests experts as stored in files: separate, in one tensor, transposed, or as four-bit blocks; and matrices that files have transposed. */

import { describe, expect, test } from 'vitest';
import { loadModel, weightMismatches } from '../../../trainer/model/load-model.ts';
import type { ParameterSpec, StoredForm } from '../../../trainer/model/module-specs.ts';
import { decodeMxfp4 } from '../../../trainer/model/mxfp4.ts';
import { replacedTensors, storedTensors, tensorsNamed, withStacks } from '../../../trainer/model/stored-form.ts';

const [EXPERTS, ROWS, WIDTH] = [3, 2, 4];
const numbers = (count: number, begin = 0): Float32Array => Float32Array.from({ length: count }, (_, i) => begin + i);
const whole = numbers(EXPERTS * ROWS * WIDTH);
const stackOf = (forms: readonly StoredForm[], shape: readonly number[] = [EXPERTS * ROWS, WIDTH]): ParameterSpec => ({
  name: 'stack',
  shape,
  stack: { experts: EXPERTS, key: 'num_experts', forms },
});

function sourceOf(tensors: Readonly<Record<string, { shape: readonly number[]; data: Float32Array | Uint8Array }>>) {
  const read = (name: string) => tensors[name]?.data ?? new Float32Array();
  return {
    tensors: new Map(Object.entries(tensors)),
    readFloat32: async (name: string) => Float32Array.from(read(name)),
    readPart: async (name: string, begin: number, count: number) => Float32Array.from(read(name).slice(begin, begin + count)),
    readBytes: async (name: string, begin: number, count: number) => Uint8Array.from(read(name).slice(begin, begin + count)),
  };
}

const transposed = Float32Array.from(whole, (_, i) => {
  const [expert, rest] = [Math.floor(i / (ROWS * WIDTH)), i % (ROWS * WIDTH)];
  return whole[expert * ROWS * WIDTH + (rest % ROWS) * WIDTH + Math.floor(rest / ROWS)] as number;
});
/** Two unrelated rows before those of each expert. */
const amongOthers = Float32Array.from({ length: 2 * whole.length }, (_, i) => {
  const [expert, rest] = [Math.floor(i / (2 * ROWS * WIDTH)), i % (2 * ROWS * WIDTH)];
  return rest < ROWS * WIDTH ? -1 : (whole[expert * ROWS * WIDTH + rest - ROWS * WIDTH] as number);
});
/** Two unrelated columns before those of each expert. */
const columnsAmongOthers = Float32Array.from({ length: 2 * whole.length }, (_, i) => {
  const [place, column] = [Math.floor(i / (2 * ROWS)), i % (2 * ROWS)];
  return column < ROWS ? -1 : (transposed[place * ROWS + column - ROWS] as number);
});
/** Returns every second row. */
const rowsFrom = (begin: number): Float32Array => whole.filter((_, i) => Math.floor(i / WIDTH) % 2 === begin);
const names = ['x.0.w', 'x.1.w', 'x.2.w'];
const separate = Object.fromEntries(names.map((name, e) => [name, { shape: [ROWS, WIDTH], data: whole.slice(e * 8, e * 8 + 8) }]));

const matrix = (name: string): StoredForm => ({ kind: 'matrix', name });

const cases: readonly (readonly [string, StoredForm, Parameters<typeof sourceOf>[0]])[] = [
  ['separate', { kind: 'separate', names }, separate],
  ['rows', { kind: 'rows', name: 'all', every: 4, begin: 2 }, { all: { shape: [EXPERTS, 4, WIDTH], data: amongOthers } }],
  [
    'interleaved',
    { kind: 'interleaved', names: ['even', 'odd'] },
    { even: { shape: [EXPERTS, 1, WIDTH], data: rowsFrom(0) }, odd: { shape: [EXPERTS, 1, WIDTH], data: rowsFrom(1) } },
  ],
  ['transposed', { kind: 'transposed', name: 'all' }, { all: { shape: [EXPERTS, WIDTH, ROWS], data: transposed } }],
  [
    'transposed, next to others',
    { kind: 'transposed', name: 'all', every: 2 * ROWS, begin: ROWS },
    { all: { shape: [EXPERTS, WIDTH, 2 * ROWS], data: columnsAmongOthers } },
  ],
];

describe.each(cases)('%s', (_, form, tensors) => {
  const spec = stackOf([{ kind: 'transposed', name: 'not there' }, form]);
  const file = sourceOf(tensors);

  test('is read as one stack, in either type', async () => {
    const source = withStacks([spec], file);
    expect(source.tensors.get('stack')?.shape).toEqual(spec.shape);
    expect(await source.readFloat32('stack')).toEqual(whole);
    const bits = await source.readBfloat16?.('stack');
    expect(Float32Array.from(bits ?? [], bit => new Float32Array(new Uint32Array([bit << 16]).buffer)[0] as number)).toEqual(whole);
  });

  test('is written back into the same tensors', async () => {
    const made = storedTensors([spec], file.tensors, false);
    expect([...made.keys()]).toEqual(Object.keys(tensors));
    for (const [name, { shape, values }] of made) {
      expect(shape).toEqual(tensors[name]?.shape);
      // Rows of other parameters must not be overwritten.
      expect(await values(async () => whole)).toEqual(Float32Array.from(tensors[name]?.data ?? [], value => Math.max(value, 0)));
    }
  });

  test('a file with the stack itself is left as it is', () => {
    const same = sourceOf({ stack: { shape: spec.shape, data: whole } });
    expect(withStacks([spec], same)).toBe(same);
  });
});

describe('a matrix that files have transposed', () => {
  const [rows, width] = [3, 3];
  const spec: ParameterSpec = { name: 'own', shape: [rows, width], stack: { experts: 1, forms: [matrix('own'), matrix('other')] } };
  const values = numbers(rows * width);
  const inFile = Float32Array.of(0, 3, 6, 1, 4, 7, 2, 5, 8);

  test.each(['own', 'other'])('is read and written under the name %s, also where it is square', async name => {
    const file = sourceOf({ [name]: { shape: [width, rows], data: inFile } });
    const source = withStacks([spec], file);
    expect(await source.readFloat32('own')).toEqual(values);
    expect(await source.readPart?.('own', 2, 3)).toEqual(values.slice(2, 5));
    const made = storedTensors([spec], file.tensors, false).get(name);
    expect(await made?.values(async () => values)).toEqual(inFile);
    // A source of the model's parameters is not transposed again.
    expect(withStacks([spec], source)).toBe(source);
  });

  test('is transposed for Transformers, and not for llama.cpp, if the base has it as the model does', async () => {
    const converted = new Map([['own', { shape: spec.shape, isConverted: true as const }]]);
    expect(
      await storedTensors([spec], converted, true)
        .get('own')
        ?.values(async () => values),
    ).toEqual(inFile);
    expect(tensorsNamed(spec, () => true)).toBeUndefined();
  });
});

test('runs: each matrix is made of rows of several tensors, and Transformers has the whole', async () => {
  const parts = [
    { name: 'both', begin: 0, rows: 1 },
    { name: 'both', begin: 3, rows: 1 },
    { name: 'other', begin: 0, rows: 2 },
  ];
  const spec = stackOf([{ kind: 'runs', parts }], [12, 1]);
  const stack = Float32Array.of(0, 10, 20, 21, 1, 11, 22, 23, 2, 12, 24, 25);
  const tensors = {
    both: { shape: [6, 1], data: Float32Array.of(0, 1, 2, 10, 11, 12) },
    other: { shape: [6, 1], data: Float32Array.of(20, 21, 22, 23, 24, 25) },
  };
  const file = sourceOf(tensors);
  expect(await withStacks([spec], file).readFloat32('stack')).toEqual(stack);
  for (const { name, shape, values } of tensorsNamed(spec, () => true) ?? []) {
    expect(shape).toEqual([6, 1]);
    expect(await values(async () => stack)).toEqual(tensors[name === 'both' ? 'both' : 'other'].data);
  }
  const made = storedTensors([spec], file.tensors, true);
  expect([...made.keys()]).toEqual(['stack']);
  expect(await made.get('stack')?.values(async () => stack)).toEqual(stack);
  expect(replacedTensors([spec], file.tensors)).toEqual(['both', 'other']);
});

test('heads: the first rows of each matrix are transposed in a tensor of their own, and Transformers has the whole', async () => {
  const spec = stackOf([{ kind: 'heads', keys: 'k', values: 'v', keyRows: 2 }], [9, 2]);
  const stack = Float32Array.of(0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25);
  const tensors = {
    k: { shape: [3, 2, 2], data: Float32Array.of(0, 2, 1, 3, 10, 12, 11, 13, 20, 22, 21, 23) },
    v: { shape: [3, 1, 2], data: Float32Array.of(4, 5, 14, 15, 24, 25) },
  };
  const file = sourceOf(tensors);
  expect(await withStacks([spec], file).readFloat32('stack')).toEqual(stack);
  const named = tensorsNamed(spec, () => true) ?? [];
  expect(named.map(({ name, shape }) => ({ name, shape }))).toEqual([
    { name: 'k', shape: [3, 2, 2] },
    { name: 'v', shape: [3, 1, 2] },
  ]);
  for (const { name, values } of named) expect(await values(async () => stack)).toEqual(tensors[name === 'k' ? 'k' : 'v'].data);
  const made = storedTensors([spec], file.tensors, true);
  expect([...made.keys()]).toEqual(['stack']);
  expect(await made.get('stack')?.values(async () => stack)).toEqual(stack);
});

test('blocks of four bits: the lower half of a byte first, with the scale of 32 numbers', async () => {
  const values = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
  const codes = Uint8Array.from({ length: 16 }, (_, i) => ((2 * i) % 16) | (((2 * i + 1) % 16) << 4));
  const expected = Array.from({ length: 32 }, (_, i) => (i % 16 < 8 ? (values[i % 16] as number) : -(values[(i % 16) - 8] as number)));
  expect([...decodeMxfp4(codes, Uint8Array.of(127))]).toEqual(expected);
  expect([...decodeMxfp4(codes, Uint8Array.of(124))]).toEqual(expected.map(value => value / 8));
  expect(decodeMxfp4(codes, Uint8Array.of(255)).every(Number.isNaN)).toBe(true);
  const spec = stackOf(
    [
      { kind: 'mxfp4', blocks: 'b', scales: 's' },
      { kind: 'transposed', name: 'plain' },
    ],
    [EXPERTS, 32],
  );
  const file = sourceOf({
    b: { shape: [EXPERTS, 1, 1, 16], data: Uint8Array.from([...codes, ...codes, ...codes]) },
    s: { shape: [EXPERTS, 1, 1], data: Uint8Array.of(127, 128, 126) },
  });
  const read = await withStacks([spec], file).readFloat32('stack');
  expect([...read]).toEqual([1, 2, 0.5].flatMap(scale => expected.map(value => value * scale)));
  // Exported as plain values.
  expect([...storedTensors([spec], file.tensors, false).keys()]).toEqual(['plain']);
});

describe('a number of experts that the tensors do not have is named with its key', () => {
  const sizes = {
    vocab_size: 8,
    hidden_size: 4,
    intermediate_size: 6,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  };
  const config = { ...sizes, max_position_embeddings: 8, architectures: ['MixtralForCausalLM'], num_local_experts: 3 };
  const tensorsOf = (experts: number) => {
    const model = loadModel({ ...config, num_local_experts: experts });
    const at = 'model.layers.0.block_sparse_moe.experts';
    return new Map<string, { shape: readonly number[] }>([
      ...model.parameters.filter(({ stack }) => !stack).map(({ name, shape }): [string, { shape: readonly number[] }] => [name, { shape }]),
      ...Array.from({ length: experts }, (_, e) => e).flatMap(e =>
        ['w1', 'w2', 'w3'].map((name): [string, { shape: readonly number[] }] => [
          `${at}.${e}.${name}.weight`,
          { shape: name === 'w2' ? [4, 6] : [6, 4] },
        ]),
      ),
    ]);
  };

  test('none, too few, too many', () => {
    const mismatches = (experts: number) => weightMismatches(loadModel(config), tensorsOf(experts));
    expect(mismatches(3)).toEqual([]);
    expect(mismatches(2)).toContain('model.layers.0.block_sparse_moe.experts.2.w1.weight [6,4] is missing: num_local_experts is 3');
    expect(mismatches(4)).toContain('model.layers.0.block_sparse_moe.experts.3.w1.weight is in the file, and num_local_experts is 3');
  });

  test.each([
    [{ num_experts_per_tok: 4 }, 'num_experts_per_tok 4 is above num_local_experts 3'],
    [{ num_experts_per_tok: 65, num_local_experts: 99 }, 'num_experts_per_tok: Too big: expected number to be <=64'],
    [{ num_experts: 4 }, 'num_experts 4 and num_local_experts 3 differ'],
    [{ output_router_logits: true }, 'output_router_logits true is not supported; supported is false'],
    [{ router_jitter_noise: 0.1 }, 'router_jitter_noise 0.1 is not supported; supported is 0'],
    [
      { architectures: ['Qwen3MoeForCausalLM'], num_experts_per_tok: 2, mlp_only_layers: [1] },
      'mlp_only_layers names layer 1 for num_hidden_layers 1',
    ],
  ])('%j', (changes, message) => {
    expect(() => loadModel({ ...config, ...changes })).toThrow(message);
  });
});
