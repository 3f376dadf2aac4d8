/**
 * Tests the PJRT engine on its CPU plugin: state that stays in place, errors that say what to do, and the supported versions of the
 * interface.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { EngineError } from '../../../../trainer/engine/engine.ts';
import { locatePjrt } from '../../../../trainer/engine/install/pjrt-folder.ts';
import { openCompiler } from '../../../../trainer/engine/pjrt/compiler.ts';
import { openPjrt, type PjrtEngine } from '../../../../trainer/engine/pjrt/engine.ts';
import { lowerSignature } from '../../../../trainer/engine/pjrt/lower.ts';
import { openProgramCache } from '../../../../trainer/engine/pjrt/program-cache.ts';
import { PjrtSession } from '../../../../trainer/engine/pjrt/session.ts';
import { openPortable } from '../../../../trainer/engine/portable/engine.ts';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { isOp } from '../../../../trainer/graph/node-store.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import type { RecomputePolicy } from '../../../../trainer/graph/recompute.ts';
import type { HostArray } from '../../../../trainer/graph/types.ts';
import { filledRows } from '../../../../trainer/graph/xla-split-sums.ts';
import { atLeast, required, valueFor } from '../../../../trainer/narrow.ts';
import { describeFailure } from '../../../../trainer/run-error.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { expectHeldAsGiven } from '../../../support/models/held-variables.ts';

const installed = locatePjrt(cacheDir);
const engine = installed ? await openPjrt({ cacheDir }) : undefined;

/** Declares tests of the engine, or a skipped one if no plugin is installed. */
const describeHere = (title: string, declare: (pjrt: PjrtEngine) => void): void =>
  describeWith(title, engine, 'no PJRT plugin; rowtune engine install --variant pjrt-cpu', declare);

const scratch = mkdtempSync(path.join(os.tmpdir(), 'rowtune-pjrt-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const [OUT, IN] = [256, 128];
const ROWS = [3, 77, 200];

/** A step that changes some rows of a weight, their moment, and a bias. */
function stepProgram() {
  const graph = new Graph();
  const w = graph.read({ name: 'w', shape: [OUT, IN], dtype: 'float32' });
  const x = graph.feed('x', [4, IN]);
  const y = graph.tanh(graph.matmul(x, w, { transposeB: true }));
  const rows = graph.constant(Int32Array.from(ROWS), [ROWS.length], 'int32');
  const fresh = graph.mul(graph.gather(w, rows), 0.5);
  const effects = [
    graph.updateRows('w', rows, fresh),
    graph.assign('moment', graph.mul(graph.read({ name: 'moment', shape: [ROWS.length, IN], dtype: 'float32' }), 0.9)),
    graph.assignAdd('bias', graph.sum(y, [0])),
  ];
  graph.declare({ name: 'bias', shape: [OUT], dtype: 'float32' });
  return assemble({ step: { graph, outputs: { loss: graph.sumAll(y) }, effects } });
}

const startValues = () => [
  { name: 'w', data: new Float32Array(OUT * IN).fill(1) },
  { name: 'moment', data: 'zeros' as const },
  { name: 'bias', data: 'zeros' as const },
];

const x = new Float32Array(4 * IN).fill(1 / IN);

describeHere('a session', pjrt => {
  const { addon, client } = pjrt.device;
  it('updates its variables where they lie, and holds no more after many steps than after one', async () => {
    const before = addon.alive(client);
    const session = await pjrt.compile(stepProgram());
    await session.load(startValues());
    await session.run('step', { x });
    const [place, held] = [session.address('w'), addon.alive(client)];
    const heldAfter = async (steps: number): Promise<void> => {
      for (let step = 0; step < steps; step++) await session.run('step', { x });
      expect(addon.alive(client)).toEqual(held);
      expect(session.address('w')).toBe(place);
    };
    await heldAfter(50);
    const weightBytes = 4 * OUT * IN;
    const memory = await session.compiledMemory('step');
    // The weight, the moment and the bias.
    expect(memory.aliased).toBe(weightBytes + 4 * ROWS.length * IN + 4 * OUT);
    expect(memory.temporaries).toBeLessThan(weightBytes / 4);
    const w = await session.read('w');
    expect([w[0], w[(ROWS[0] as number) * IN]]).toEqual([1, 0.5 ** 51]);
    await heldAfter(1000);
    await session.dispose();
    expect(addon.alive(client)).toEqual(before);
  });

  it('starts a second run before the first is waited for, in their order', async () => {
    const session = await pjrt.compile(stepProgram());
    await session.load(startValues());
    const losses = await Promise.all([0, 1, 2].map(() => session.run('step', { x })));
    const found = losses.map(({ loss }) => loss?.[0] as number);
    // Each step halves the three rows: tanh(1), tanh(1/2), tanh(1/4), four times each.
    for (const [step, loss] of found.entries()) expect(loss).toBeCloseTo(4 * ((OUT - 3) * Math.tanh(1) + 3 * Math.tanh(0.5 ** step)), 2);
    await session.dispose();
  });

  it('leaves the event loop free while it compiles', async () => {
    const session = await pjrt.compile(stepProgram());
    await session.load(startValues());
    let turns = 0;
    const count = (): void => {
      turns++;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    await session.run('step', { x });
    clearImmediate(next);
    // A few promises take one turn each; compiling takes thousands.
    expect(turns).toBeGreaterThan(50);
    await session.dispose();
  });

  it.each([
    ['an unknown signature', 'other', { x }, /no signature other; it has step/],
    ['a missing feed', 'step', {}, /feed x needs 512 elements.*is missing/],
    ['a feed of another length', 'step', { x: new Float32Array(7) }, /feed x needs 512 elements.*not 7/],
    ['a feed of another type', 'step', { x: new Int32Array(512) }, /Float32Array.*not a Int32Array/],
    ['a variable never loaded', 'step', { x }, /variable \w+ is read before anything was loaded/],
  ])('refuses %s', async (_, signature, feeds: Record<string, Float32Array | Int32Array>, message) => {
    const session = await pjrt.compile(stepProgram());
    const refused = session.run(signature, feeds);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toBeInstanceOf(EngineError);
    await session.dispose();
  });

  it('holds numbers of every type as the host gave them', () => expectHeldAsGiven(pjrt));

  it('rounds the result of every bfloat16 operation', async () => {
    const graph = new Graph();
    const half = graph.cast(graph.feed('x', [1, 2]), 'bfloat16');
    const y = graph.cast(graph.matmul(half, half, { transposeB: true }), 'float32');
    const session = await pjrt.compile(assemble({ run: { graph, outputs: { y }, effects: [] } }));
    // 1.0078125² + 1 = 2.01568…, which bfloat16 rounds to 2.015625.
    expect(Array.from((await session.run('run', { x: Float32Array.of(1.0078125, 1) })).y ?? [])).toEqual([2.015625]);
    await session.dispose();
  });
});

describeHere('sums over processes', pjrt => {
  const { addon, client } = pjrt.device;

  it('divide a step into programs, between which nothing is left on the device', async () => {
    const graph = new Graph({ count: 2, own: 0 });
    const w = graph.read({ name: 'w', shape: [OUT, IN], dtype: 'float32' });
    const x = graph.feed('x', [4, IN]);
    const y = graph.tanh(graph.matmul(x, w, { transposeB: true }));
    const rows = graph.constant(Int32Array.from(ROWS), [ROWS.length], 'int32');
    const gradient = graph.totalOf(graph.mul(graph.gather(w, rows), 0.5));
    const mean = graph.totalOf(graph.sumAll(y));
    const effects = [graph.updateRows('w', rows, gradient)];
    const program = assemble({ step: { graph, outputs: { loss: mean, y, after: graph.mul(mean, 2) }, effects } });
    const before = addon.alive(client);
    const session = await pjrt.compile(program);
    await session.load([{ name: 'w', data: new Float32Array(OUT * IN).fill(1) }]);
    const first = await session.run('step', { x: new Float32Array(4 * IN).fill(1 / IN) });
    const [place, held] = [session.address('w'), addon.alive(client)];
    expect(first.after?.[0]).toBe(2 * (first.loss?.[0] ?? Number.NaN));
    expect(first.loss?.[0]).toBeCloseTo(4 * OUT * Math.tanh(1), 2);
    expect(first.y).toHaveLength(4 * OUT);
    for (let step = 1; step < 10; step++) await session.run('step', { x: new Float32Array(4 * IN).fill(1 / IN) });
    expect(addon.alive(client)).toEqual(held);
    expect(session.address('w')).toBe(place);
    const values = await session.read('w');
    expect([values[0], values[(ROWS[0] as number) * IN]]).toEqual([1, 0.5 ** 10]);
    await session.dispose();
    expect(addon.alive(client)).toEqual(before);
  });

  it('over gRPC are refused', () => {
    expect(() => pjrt.join?.('grpc:0,127.0.0.1:1,127.0.0.1:2')).toThrow(/only the TensorFlow engine connects processes over gRPC/);
  });
});

describeHere('random masks', pjrt => {
  it('are those of the portable engine, bit for bit', async () => {
    const graph = new Graph();
    const seed = graph.feed('seed', [2], 'int32');
    const outputs = Object.fromEntries(
      [0.1, 0.5, 1].map((share, i) => [`y${i}`, graph.cast(graph.randomMask(seed, [7, 11 + i], share), 'float32')]),
    );
    const program = assemble({ run: { graph, outputs, effects: [] } });
    const portable = await openPortable({ backend: 'cpu' });
    const [ours, theirs] = [await pjrt.compile(program), await portable.compile(program)];
    for (const words of [
      [0, 0],
      [1, -2],
      [-1, 2 ** 31 - 1],
    ]) {
      const feeds = { seed: Int32Array.from(words) };
      expect(await ours.run('run', feeds)).toEqual(await theirs.run('run', feeds));
    }
    await ours.dispose();
  });
});

const chainSpecs = (blocks: number) => new Map(chainProgram('none', blocks).variables.map(variable => [variable.name, variable] as const));

/** Gradients of a chain of blocks that are wide inside and narrow at both ends. */
function chainProgram(policy: RecomputePolicy, blocks: number) {
  const graph = new Graph();
  const [rows, narrow, wide] = [256, 16, 512];
  const weights = Array.from({ length: blocks }, (_, i) => graph.read({ name: `w${i}`, shape: [wide, narrow], dtype: 'float32' }));
  let y: Node = graph.feed('x', [rows, narrow]);
  for (const w of weights) {
    const input = y;
    y = graph.checkpointed(input, () => graph.matmul(graph.tanh(graph.exp(graph.sin(graph.matmul(input, w, { transposeB: true })))), w));
  }
  const seeds = [{ node: y, gradient: graph.constant(new Float32Array(rows * narrow).fill(1e-3), y.shape, 'float32') }];
  const gradients = backward(graph, { seeds, wrt: new Map(weights.map(w => [w, {}])), policy });
  const outputs = Object.fromEntries(weights.map((w, i) => [`g${i}`, valueFor(gradients, w)]));
  return assemble({ run: { graph, outputs, effects: [] } });
}

describeHere('recomputation', pjrt => {
  it('is not undone by the compiler: whole blocks computed again take less memory, and give the same gradients', async () => {
    const blocks = 6;
    const found = [];
    for (const policy of ['none', 'block'] as const) {
      const session = await pjrt.compile(chainProgram(policy, blocks));
      await session.load(
        Array.from({ length: blocks }, (_, i) => ({ name: `w${i}`, data: new Float32Array(512 * 16).fill(0.01 * (i + 1)) })),
      );
      const gradients = await session.run('run', { x: new Float32Array(256 * 16).fill(0.1) });
      found.push({ gradients, bytes: (await session.compiledMemory('run')).temporaries });
      await session.dispose();
    }
    const [kept, again] = atLeast(found, 2);
    expect(again.gradients).toEqual(kept.gradients);
    // A wide tensor takes 512 KB: without recomputation, each block keeps at least two.
    expect(kept.bytes).toBeGreaterThan(2 * blocks * 4 * 256 * 512);
    expect(again.bytes).toBeLessThan(kept.bytes / 2);
  });
});

describeHere('a product that a card computes with more rows', pjrt => {
  const [rows, words, width] = [3, 18_992, 128];
  const card = { multiprocessors: 2, capability: '9.0' } as const;

  it.each([false, true])('has the numbers of the product as it is; transposed: %s', async transposeA => {
    const graph = new Graph();
    const narrow = (name: string, shape: readonly number[]): Node => graph.cast(graph.feed(name, shape), 'bfloat16');
    const product = graph.matmul(narrow('a', transposeA ? [words, rows] : [rows, words]), narrow('b', [words, width]), { transposeA });
    expect(isOp(product, 'matmul') && filledRows(product, card)).toBe(64);
    const program = assemble({ run: { graph, outputs: { y: graph.cast(product, 'float32') }, effects: [] } });
    const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i));
    const feeds = { a: numbers(rows * words), b: numbers(words * width) };
    const run = async (device: PjrtEngine['device']): Promise<HostArray> => {
      const session = new PjrtSession(device, program);
      const { y } = await session.run('run', feeds);
      await session.dispose();
      return required(y, 'y');
    };
    const [plain, filled] = [await run(pjrt.device), await run({ ...pjrt.device, card })];
    expect(filled).toHaveLength(rows * width);
    // Sums of 18,992 products in float32, in another order, rounded to 8 bits.
    const apart = Array.from(filled, (value, i) => Math.abs(value - (plain[i] ?? Number.NaN)));
    expect(Math.max(...apart)).toBeLessThanOrEqual(Math.max(...Array.from(plain, Math.abs)) / 128);
  });
});

describeHere('the cache of compiled programs', pjrt => {
  const { addon, client } = pjrt.device;
  const folder = path.join(scratch, 'cache');
  const blocks = 12;
  const target = { plugin: 'plugin', device: 'device' };
  const quiet = { addon, client, plugin: {}, log: () => undefined };

  /** Returns the gradients, and what the compiler did for them. */
  async function run(device: string) {
    const compiler = openCompiler({ ...quiet, cache: openProgramCache(folder), target: { ...target, device } });
    const session = new PjrtSession({ addon, client, compiler }, chainProgram('none', blocks));
    await session.load(
      Array.from({ length: blocks }, (_, i) => ({ name: `w${i}`, data: new Float32Array(512 * 16).fill(0.01 * (i + 1)) })),
    );
    const gradients = await session.run('run', { x: new Float32Array(256 * 16).fill(0.1) });
    await session.dispose();
    return { gradients, counts: compiler.counts };
  }

  it('compiles nothing a second time, and again for another device or where a file was damaged', async () => {
    const first = await run('one');
    expect(first.counts).toEqual({ compiled: 1, found: 0 });
    expect(await run('one')).toEqual({ gradients: first.gradients, counts: { compiled: 0, found: 1 } });
    expect((await run('another')).counts).toEqual({ compiled: 1, found: 0 });
    const programs = path.join(folder, 'programs');
    // Each program with its memory.
    expect(readdirSync(programs)).toHaveLength(4);
    for (const name of readdirSync(programs)) {
      const bytes = readFileSync(path.join(programs, name));
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
      writeFileSync(path.join(programs, name), bytes);
    }
    expect(await run('one')).toEqual(first);
  });

  it('compiles again what the plugin cannot load', async () => {
    const cache = openProgramCache(folder);
    const nonsense = { ...cache, find: () => new Uint8Array(100) };
    const compiler = openCompiler({ ...quiet, cache: nonsense, target });
    const { text } = lowerSignature(required(chainProgram('none', blocks).signatures.run, 'run'), chainSpecs(blocks));
    await compiler.compile('run', { text, operationAt: () => undefined });
    expect(compiler.counts).toEqual({ compiled: 1, found: 0 });
  });

  it('drops what was not used for the longest time', async () => {
    const cache = openProgramCache(path.join(scratch, 'small'), 250);
    const keyOf = (text: string) => ({ ...target, options: new Uint8Array(1), text });
    for (const [i, text] of ['a', 'b', 'c'].entries()) {
      await cache.keep(keyOf(text), new Uint8Array(60).fill(i));
      // Files of the same millisecond have no order.
      for (const name of readdirSync(path.join(scratch, 'small', 'programs'))) {
        const file = path.join(scratch, 'small', 'programs', name);
        const age = statSync(file).mtimeMs / 1000 - 10;
        utimesSync(file, age, age);
      }
    }
    const found = ['a', 'b', 'c'].map(text => cache.find(keyOf(text)));
    expect(found.map(bytes => bytes?.[0])).toEqual([undefined, 1, 2]);
  });
});

describeHere('what a plugin refuses', pjrt => {
  it('names the operation of the graph', async () => {
    const text =
      'module @m {\nfunc.func public @main(%a: tensor<2xf32>) -> tensor<2xf32> {\n%0 = stablehlo.add %a, %b : tensor<2xf32>\nreturn %0 : tensor<2xf32>\n}\n}\n';
    const operationAt = (line: number): string | undefined => (line === 3 ? 'add (node 7)' : undefined);
    await expect(pjrt.device.compiler.compile('step', { text, operationAt })).rejects.toThrow(
      /could not compile step at add \(node 7\): .*undeclared/s,
    );
  });
});

/** Creates a plugin that only has a version. */
function fakePlugin(name: string, [major, minor]: readonly [number, number], bytes: number, linked: readonly string[] = []): string {
  const source = path.join(scratch, `${name}.c`);
  writeFileSync(
    source,
    `#include <stddef.h>
     static struct { size_t size; void *extensions; size_t version_size; void *version_extensions; int major, minor; void *functions[200]; }
       api = { ${bytes}, NULL, 24, NULL, ${major}, ${minor} };
     const void *GetPjrtApi(void) { return &api; }`,
  );
  const library = path.join(scratch, `${name}.so`);
  execFileSync('gcc', ['-shared', '-fPIC', '-o', library, source, ...linked]);
  return library;
}

describeHere('memory that is not there', pjrt => {
  it('is reported as a lack of memory, whatever the plugin says', async () => {
    const { addon, client } = pjrt.device;
    const refused = addon.upload(client, new Uint8Array(0), 11, [2 ** 48], 2 ** 50, '', 0);
    await expect(refused).rejects.toThrow(/^RESOURCE_EXHAUSTED: /);
    const { event } = describeFailure(await refused.catch((error: unknown) => error));
    expect(event).toMatchObject({ code: 'out-of-memory', hint: expect.stringContaining('recompute: block') });
  });
});

describeHere('libraries that a plugin needs', pjrt => {
  it('are found by their names once they are loaded, wherever they lie', async () => {
    const folder = path.join(scratch, 'libraries');
    mkdirSync(folder);
    const needed = path.join(folder, 'librowtune_needed.so.1');
    writeFileSync(path.join(folder, 'needed.c'), 'int rowtune_needed(void) { return 1; }');
    execFileSync('gcc', ['-shared', '-fPIC', `-Wl,-soname,${path.basename(needed)}`, '-o', needed, path.join(folder, 'needed.c')]);
    const plugin = fakePlugin('needy', [0, 89], 2000, ['-Wl,--no-as-needed', needed]);
    await expect(pjrt.device.addon.open(plugin, [])).rejects.toThrow(/librowtune_needed\.so\.1: cannot open shared object/);
    await expect(pjrt.device.addon.open(plugin, [], [path.join(folder, 'absent.so'), needed])).rejects.toThrow(/too old/);
  });
});

describeHere('the window of versions', pjrt => {
  const { addon } = pjrt.device;
  it.each([
    ['too old', [0, 89], 2000, /version 0\.89, which is too old; this version of Rowtune works with 0\.90 and later versions below 1\.0/],
    ['too new', [1, 0], 2000, /version 1\.0, which is too new/],
    ['of a smaller table', [0, 116], 500, /version 0\.116, but its table of functions has 500 bytes instead of \d+ or more/],
  ] as const)('refuses a plugin that is %s', async (name, version, bytes, message) => {
    await expect(addon.open(fakePlugin(name.replaceAll(' ', '-'), version, bytes), [])).rejects.toThrow(message);
  });

  it('refuses a library that is no plugin, and a file that is no library', async () => {
    writeFileSync(path.join(scratch, 'none.c'), 'int nothing;');
    execFileSync('gcc', ['-shared', '-fPIC', '-o', path.join(scratch, 'none.so'), path.join(scratch, 'none.c')]);
    await expect(addon.open(path.join(scratch, 'none.so'), [])).rejects.toThrow(/is not a PJRT plugin: it has no function GetPjrtApi/);
    await expect(addon.open(path.join(scratch, 'none.c'), [])).rejects.toThrow(/none\.c/);
  });
});
