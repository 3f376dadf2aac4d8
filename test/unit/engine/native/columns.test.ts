/**
 * Tests reading and writing columns and single elements inside a variable, with our kernels, or TensorFlow's own operations if those are
 * missing.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { HOST_ARRAY } from '../../../../trainer/engine/host-array.ts';
import { KERNEL_FLAGS } from '../../../../trainer/engine/install/kernel-stamp.ts';
import { loadAddon } from '../../../../trainer/engine/tensorflow/addon.ts';
import { lowerProgram } from '../../../../trainer/engine/tensorflow/lower.ts';
import { openSession } from '../../../../trainer/engine/tensorflow/session.ts';
import { singleSteps } from '../../../../trainer/graph/fusion/step.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble, type Program } from '../../../../trainer/graph/program.ts';
import { bytesPerElement, type DType, type HostArray } from '../../../../trainer/graph/types.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { engineForTests } from '../engine-for-tests.ts';

// More threads than a small machine has cores, so that some must wait. The kernels read this once, before their first work.
process.env.TF_NUM_INTRAOP_THREADS = '3';
const { engine, installed, reason } = await engineForTests();
const plain = { plan: singleSteps, hasProducts: false, hasColumns: false, hasSums: false, hasNarrowKernels: false };

interface Case {
  readonly what: string;
  readonly dtype: DType;
  readonly rows: number;
  readonly width: number;
  /** Column numbers, or flat indices of single elements. */
  readonly numbers: Int32Array;
  readonly single?: true;
}

const random = createRandom(5);
/** Returns `count` distinct numbers below `below`, unsorted. */
function drawn(count: number, below: number): Int32Array {
  const all = Int32Array.from({ length: below }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const other = i + Math.floor(random.uniform() * (below - i));
    [all[i], all[other]] = [all[other] as number, all[i] as number];
  }
  return all.slice(0, count);
}

const DTYPES: readonly DType[] = ['float32', 'bfloat16', 'int32', 'uint8', 'int8'];
/** Less than one unit of work, and several units that start within a row. */
const cases: readonly Case[] = DTYPES.flatMap((dtype): Case[] => [
  { what: 'one column', dtype, rows: 5, width: 7, numbers: Int32Array.of(6) },
  { what: 'all columns', dtype, rows: 3, width: 17, numbers: drawn(17, 17) },
  { what: 'columns of one row', dtype, rows: 1, width: 9, numbers: drawn(4, 9) },
  { what: 'the only column', dtype, rows: 4, width: 1, numbers: Int32Array.of(0) },
  { what: 'many rows', dtype, rows: 1201, width: 40, numbers: drawn(23, 40) },
  { what: 'one element', dtype, rows: 5, width: 7, numbers: Int32Array.of(34), single: true },
  { what: 'all elements', dtype, rows: 3, width: 5, numbers: drawn(15, 15), single: true },
  { what: 'many elements', dtype, rows: 300, width: 101, numbers: drawn(20_011, 30_300), single: true },
]);
/** Only reads may name an element twice. */
const repeated: readonly Case[] = [
  { what: 'columns twice', dtype: 'float32', rows: 6, width: 5, numbers: Int32Array.of(4, 0, 4, 4) },
  { what: 'elements twice', dtype: 'bfloat16', rows: 6, width: 5, numbers: Int32Array.of(29, 0, 29), single: true },
];
const nameOf = ({ what, dtype }: Case): string => `${what} of ${dtype}`;

function readProgramOf({ dtype, rows, width, numbers, single }: Case): Program {
  const graph = new Graph();
  const w = graph.read({ name: 'w', shape: [rows, width], dtype });
  const at = graph.feed('numbers', [numbers.length], 'int32');
  const values = single ? graph.gather(graph.reshape(w, [rows * width]), at) : graph.gather(w, at, 1);
  return assemble({ run: { graph, outputs: { values }, effects: [] } });
}

function programOf({ dtype, rows, width, numbers, single }: Case): Program {
  const graph = new Graph();
  graph.declare({ name: 'w', shape: [rows, width], dtype });
  const at = graph.feed('numbers', [numbers.length], 'int32');
  const values = graph.feed('values', single ? [numbers.length] : [rows, numbers.length], dtype);
  const effect = single ? graph.updateElements('w', at, values) : graph.updateColumns('w', width, at, values);
  return assemble({ run: { graph, outputs: {}, effects: [effect] } });
}

/** Random bits, because nothing computes with them. */
function bits(count: number, dtype: DType): HostArray {
  const bytes = new Uint8Array(count * bytesPerElement(dtype));
  // A float32 NaN may lose its payload in JavaScript, so the highest byte is that of a number.
  bytes.forEach((_, i) => {
    bytes[i] = Math.floor(random.uniform() * (i % 4 === 3 ? 64 : 256));
  });
  return new HOST_ARRAY[dtype](bytes.buffer);
}

function inputsOf({ dtype, rows, width, numbers, single }: Case) {
  return { before: bits(rows * width, dtype), values: bits((single ? 1 : rows) * numbers.length, dtype) };
}

/** Copies one element after the other. */
function expectedOf({ rows, width, numbers, single }: Case, { before, values }: ReturnType<typeof inputsOf>): HostArray {
  const after = before.slice();
  for (let row = 0; row < (single ? 1 : rows); row++)
    numbers.forEach((number, i) => {
      after[row * width + number] = values[row * numbers.length + i] as number;
    });
  return after;
}

const pickedOf = ({ rows, width, numbers, single }: Case, { before }: ReturnType<typeof inputsOf>): number[] =>
  Array.from({ length: single ? 1 : rows }, (_, row) => Array.from(numbers, number => before[row * width + number] as number)).flat();

const openers = {
  'our kernels': async (program: Program) => engine?.compile(program),
  "TensorFlow's own operations": async (program: Program) => installed && openSession(loadAddon(installed), program, { kernels: plain }),
};

describe.skipIf(!engine).each(Object.entries(openers))(`columns by %s ${reason}`, (_, open) => {
  test.each([...cases, ...repeated].map(each => [nameOf(each), each] as const))('%s are read', async (_, each) => {
    const session = await open(readProgramOf(each));
    const inputs = inputsOf(each);
    await session?.load([{ name: 'w', data: inputs.before }]);
    const found = await session?.run('run', { numbers: each.numbers });
    expect(Array.from(found?.values ?? [])).toEqual(pickedOf(each, inputs));
    await session?.dispose();
  });

  test.each(cases.map(each => [nameOf(each), each] as const))('%s are written', async (_, each) => {
    const session = await open(programOf(each));
    const inputs = inputsOf(each);
    await session?.load([{ name: 'w', data: inputs.before }]);
    await session?.run('run', { numbers: each.numbers, values: inputs.values });
    expect(await session?.read('w')).toEqual(expectedOf(each, inputs));
    await session?.dispose();
  });
});

describe.skipIf(!engine)(`columns that are not there ${reason}`, () => {
  const shape = { what: 'outside', dtype: 'float32', rows: 4, width: 6 } as const;
  test.each([
    ['a column behind the last', { ...shape, numbers: Int32Array.of(2, 6, 1) }],
    ['a column before the first', { ...shape, numbers: Int32Array.of(2, -1, 1) }],
    ['an element behind the last', { ...shape, numbers: Int32Array.of(24), single: true }],
    ['an element before the first', { ...shape, numbers: Int32Array.of(0, -24), single: true }],
  ] as const)('%s is an error, and nothing is written', async (_, each) => {
    const session = await engine?.compile(programOf(each));
    const { before, values } = inputsOf(each);
    await session?.load([{ name: 'w', data: before }]);
    await expect(session?.run('run', { numbers: each.numbers, values })).rejects.toThrow(/out of range/);
    expect(await session?.read('w')).toEqual(before);
    await session?.dispose();
    const reading = await engine?.compile(readProgramOf(each));
    await reading?.load([{ name: 'w', data: before }]);
    await expect(reading?.run('run', { numbers: each.numbers })).rejects.toThrow(/out of range/);
    await reading?.dispose();
  });

  test('rows of another width are an error', async () => {
    const each: Case = { ...shape, numbers: Int32Array.of(0) };
    const graph = new Graph();
    graph.declare({ name: 'w', shape: [each.rows, each.width], dtype: 'float32' });
    const values = graph.zeros([each.rows, 1]);
    const effect = graph.updateColumns('w', each.width + 2, graph.feed('numbers', [1], 'int32'), values);
    const session = await engine?.compile(assemble({ run: { graph, outputs: {}, effects: [effect] } }));
    await session?.load([{ name: 'w', data: inputsOf(each).before }]);
    await expect(session?.run('run', { numbers: each.numbers })).rejects.toThrow(/do not fit/);
    await session?.dispose();
  });
});

test("without our kernels, all operations are TensorFlow's", () => {
  const operations = (hasColumns: boolean): string[] =>
    cases
      .flatMap(each => [programOf(each), readProgramOf(each)])
      .flatMap(program => lowerProgram(program, { ...plain, hasColumns }).nodes.map(({ op }) => op));
  const count = (hasColumns: boolean, name: string): number => operations(hasColumns).filter(op => op === name).length;
  const all = cases.length;
  expect([count(false, 'InplaceUpdate'), count(false, 'GatherV2')]).toEqual([all, all]);
  expect(operations(false).filter(op => op.startsWith('Rowtune'))).toEqual([]);
  expect([count(true, 'RowtuneUpdateColumns'), count(true, 'RowtuneReadColumns')]).toEqual([all, all]);
  expect([count(true, 'InplaceUpdate'), count(true, 'GatherV2')]).toEqual([0, 0]);
});

const hasCompiler = spawnSync('g++', ['--version']).status === 0;

describe.skipIf(!hasCompiler)(`the kernels of columns alone${hasCompiler ? '' : ' (skipped: there is no g++)'}`, () => {
  test.each([
    ['this processor', KERNEL_FLAGS],
    ['any processor', ['-O1', '-pthread', '-fsanitize=address,undefined', '-fno-sanitize-recover']],
  ])('no step outside a tensor, on %s', (_, flags) => {
    const program = path.join(makeTemporaryFolder(), 'columns-law');
    const kernels = path.join(import.meta.dirname, '../../../../trainer/engine/tensorflow/native/kernels');
    const source = path.join(import.meta.dirname, 'columns-law.cc');
    const built = spawnSync('g++', ['-std=c++17', ...flags, '-I', kernels, '-o', program, source], { encoding: 'utf8' });
    expect(built.status, built.stderr).toBe(0);
    const env = { ...process.env, TF_NUM_INTRAOP_THREADS: '2' };
    const { stdout, stderr } = spawnSync(program, { encoding: 'utf8', env });
    expect({ stdout, stderr }).toEqual({ stdout: '0 differ, 2 refused\n', stderr: '' });
  });
});
