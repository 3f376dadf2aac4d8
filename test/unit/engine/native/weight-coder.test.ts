/**
 * Tests that native code produces the same forms of weights as JavaScript, bit for bit, on any processor, and so do the variables of every
 * engine.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CoderAddon, nativeCoder } from '../../../../trainer/engine/coder/native-coder.ts';
import { resolveAddonSources, sourcesIn } from '../../../../trainer/engine/install/addon-sources.ts';
import { KERNEL_FLAGS } from '../../../../trainer/engine/install/kernel-stamp.ts';
import { PJRT_ADDON_FLAGS } from '../../../../trainer/engine/install/pjrt-folder.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { type HostArray, toBfloat16 } from '../../../../trainer/graph/types.ts';
import type { StoredValues } from '../../../../trainer/graph/weight-coder.ts';
import { javascriptCoder } from '../../../../trainer/model/javascript-coder.ts';
import { NF4_BORDERS } from '../../../../trainer/model/nf4.ts';
import { WeightStorage } from '../../../../trainer/model/weight-storage.ts';
import { describeOn, openAll } from '../../../support/engines.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { randomNumbers } from '../../../support/numbers/operation-case.ts';

const random = (count: number, scale = 1): Float32Array => Float32Array.from(randomNumbers(count, -scale, scale, 7));

/** Values at the borders between codes and next to them, in a block whose largest value is a power of two and in one whose is not. */
function atBorders(largest: number): Float32Array {
  const near = [...NF4_BORDERS].flatMap(border => {
    const word = new Uint32Array(Float32Array.of(border * largest).buffer);
    return [-1, 0, 1].map(step => new Float32Array(Uint32Array.of((word[0] as number) + step).buffer)[0] as number);
  });
  return Float32Array.from({ length: 64 }, (_, i) => (i === 63 ? largest : (near[i] ?? 0)));
}

/** Halves of 8-bit codes, up and down, in rows of 64. */
const halves = Float32Array.from({ length: 256 }, (_, i) => (i % 64 === 0 ? 127 : ((i * 7) % 254) / 2 - 63.5));

const strange = Float32Array.from({ length: 192 }, (_, i) => {
  if (i === 70) return Number.NaN;
  if (i === 130) return Number.NEGATIVE_INFINITY;
  return i < 64 ? -0 : i - 100;
});

const cases: readonly (readonly [name: string, values: StoredValues, rows: number])[] = [
  ['random numbers, several ranges of blocks', random(3 * 16384 + 640), 64],
  ['a last block that is not full', random(1000), 8],
  ['fewer numbers than a block', random(5), 5],
  ['numbers at borders', Float32Array.of(...atBorders(1), ...atBorders(0.73), ...atBorders(-3e-5)), 3],
  ['halves', halves, 4],
  ['zeros, a NaN and an infinity', strange, 3],
  ['numbers too small for the normal form', random(256, 1e-39), 4],
  ['every number of bfloat16', Uint16Array.from({ length: 65536 }, (_, i) => i), 128],
  ['the same in another order', Uint16Array.from({ length: 65536 }, (_, i) => (i * 40503) & 65535), 1],
  ['one number a row', toBfloat16(random(300)), 300],
];

const NATIVE = path.join(import.meta.dirname, '../../../../trainer/engine/coder/native');
const hasCompiler = spawnSync('g++', ['--version']).status === 0;

const builds = [
  { processor: 'this processor', flags: ['-std=c++17', '-shared', '-fPIC', ...KERNEL_FLAGS] },
  { processor: 'any processor', flags: PJRT_ADDON_FLAGS },
  { processor: 'any processor, as it is written', flags: ['-std=c++17', '-O0', '-shared', '-fPIC', '-pthread'] },
];

describe.skipIf(!hasCompiler).each(builds)(`native code for $processor${hasCompiler ? '' : ' (skipped: there is no g++)'}`, ({ flags }) => {
  const output = path.join(makeTemporaryFolder(), 'coder.node');
  const headers = ['-I', NATIVE, '-I', resolveAddonSources().nodeHeaders];
  const sources = [path.join(import.meta.dirname, 'weight-coder-addon.cc'), ...sourcesIn([NATIVE])];
  const built = hasCompiler ? spawnSync('g++', [...flags, ...headers, ...sources, '-o', output], { encoding: 'utf8' }) : undefined;
  // It has just been compiled from the sources of `CoderAddon`.
  const addon = (): CoderAddon => createRequire(import.meta.url)(output);

  test('compiles', () => {
    expect(built?.status, built?.stderr).toBe(0);
  });

  test.each(cases)('%s: the same codes and scales', async (_, values, rows) => {
    const coder = nativeCoder(addon());
    expect(await coder.encodeBlocks(values, NF4_BORDERS)).toEqual(await javascriptCoder.encodeBlocks(values, NF4_BORDERS));
    expect(await coder.encodeRows(values, rows)).toEqual(await javascriptCoder.encodeRows(values, rows));
    if (values instanceof Uint16Array) expect(await coder.widen(values)).toEqual(await javascriptCoder.widen(values));
  });

  test('refuses arrays that do not fit', () => {
    const [values, codes] = [new Float32Array(64), new Int8Array(63)];
    expect(() => addon().encodeRows(values, codes, new Float32Array(1))).toThrow(TypeError);
    expect(() => addon().encodeRows(values, new Int8Array(64), new Float32Array(3))).toThrow(TypeError);
    expect(() => addon().widen(new Uint16Array(64), new Float32Array(63))).toThrow(TypeError);
  });
});

const shape = [96, 130];
const values = random(96 * 130);
const FORMS = [
  { dtype: 'float32', quantize: 'none' },
  { dtype: 'bfloat16', quantize: 'none' },
  { dtype: 'float32', quantize: 'int8' },
  { dtype: 'float32', quantize: 'nf4' },
] as const;

async function held(storage: WeightStorage, data: StoredValues): Promise<Map<string, HostArray | 'zeros'>> {
  const found = new Map<string, HostArray | 'zeros'>();
  for await (const { name, data: own } of storage.encode({ name: 'w', data })) found.set(name, own);
  return found;
}

describeOn(await openAll(), opened => {
  test.each(FORMS)('$dtype, quantize $quantize: from bits and from float32, variables as JavaScript computes them', async precision => {
    const spec = { name: 'w', shape };
    const quantized = new Set(precision.quantize === 'none' ? [] : ['w']);
    const storage = new WeightStorage({ precision, parameters: [spec], quantized, floatParts: new Map() });
    const graph = new Graph();
    const session = await opened.compile(assemble({ main: { graph, outputs: { weight: storage.weight(graph, spec) }, effects: [] } }));
    for (const data of [toBfloat16(values), values]) {
      await session.load(storage.encode({ name: 'w', data }, session.coder));
      for (const [variable, expected] of await held(storage, data)) expect(await session.read(variable), variable).toEqual(expected);
    }
    await session.dispose();
  });
});
