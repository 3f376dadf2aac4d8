/** Tests laws of a TensorFlow session. Runs if the engine is installed (ROWTUNE_CACHE, or ~/.cache/rowtune). */
import { describe, expect, it } from 'vitest';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { EngineError, type Session } from '../../../trainer/engine/engine.ts';
import { loadAddon } from '../../../trainer/engine/tensorflow/addon.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { DType, HostArray } from '../../../trainer/graph/types.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { multiply, transpose2d } from '../../support/numbers/naive.ts';
import { engineForTests } from './engine-for-tests.ts';

const { engine, installed, reason } = await engineForTests();

type Built = { readonly outputs?: Record<string, Node>; readonly effects?: Node[] };

async function withSession(signatures: Record<string, (g: Graph) => Built>, use: (session: Session) => Promise<void>): Promise<void> {
  if (!engine) throw new Error('the suite runs only with an engine');
  const traces = Object.entries(signatures).map(([name, build]) => {
    const graph = new Graph();
    const { outputs = {}, effects = [] } = build(graph);
    return [name, { graph, outputs, effects }] as const;
  });
  const session = await engine.compile(assemble(Object.fromEntries(traces)));
  try {
    await use(session);
  } finally {
    await session.dispose();
  }
}

const W = { name: 'w', shape: [2, 3], dtype: 'float32' } as const;
const linear = (g: Graph): Built => ({ outputs: { y: g.add(g.matmul(g.feed('x', [2, 3]), g.read(W), { transposeB: true }), 1) } });
const counting = Float32Array.of(1, 2, 3, 4, 5, 6);

describe.skipIf(!engine)(`tensorflow session ${reason}`, () => {
  it('multiplies, adds, loads and reads; a loaded variable is a copy of what was given', () =>
    withSession({ main: linear }, async session => {
      const w = counting.slice();
      await session.load([{ name: 'w', data: w }]);
      w.fill(9);
      expect(await session.read('w')).toEqual(counting);
      const { y } = await session.run('main', { x: Float32Array.of(1, 0, 0, 0, 1, 0) });
      expect(y).toEqual(Float32Array.of(2, 5, 3, 6));
    }));

  it.each(['1', '2'])('multiplies matrices that %s cores share, each side as it is or transposed', async threads => {
    const before = process.env.TF_NUM_INTRAOP_THREADS;
    process.env.TF_NUM_INTRAOP_THREADS = threads;
    const [m, k, n] = [256, 400, 300];
    const sines = (count: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(i));
    const [a, b] = [sines(m * k), sines(k * n)];
    const expected = multiply(a, b, m, k, n);
    const feeds = { a, aT: transpose2d(a, m, k), b, bT: transpose2d(b, k, n) };
    try {
      for (const transposeA of [false, true])
        for (const transposeB of [false, true]) {
          const [x, y] = [transposeA ? 'aT' : 'a', transposeB ? 'bT' : 'b'] as const;
          const product = (g: Graph): Built => ({
            outputs: {
              c: g.matmul(g.feed(x, transposeA ? [k, m] : [m, k]), g.feed(y, transposeB ? [n, k] : [k, n]), { transposeA, transposeB }),
            },
          });
          await withSession({ main: product }, async session => {
            const { c } = await session.run('main', { [x]: Float32Array.from(feeds[x]), [y]: Float32Array.from(feeds[y]) });
            expectClose(Array.from(c ?? []), expected, 1e-4, `${x} · ${y}`);
          });
        }
    } finally {
      if (before === undefined) delete process.env.TF_NUM_INTRAOP_THREADS;
      else process.env.TF_NUM_INTRAOP_THREADS = before;
    }
  });

  it('refuses feeds that are missing or of another size or type, and names signature and feed', () =>
    withSession({ main: linear }, async session => {
      await session.load([{ name: 'w', data: counting }]);
      await expect(session.run('main', {})).rejects.toThrow(/signature main: feed 'x' is missing/);
      await expect(session.run('main', { x: new Float32Array(5) })).rejects.toThrow(/feed 'x' has 5 elements; \[2,3\] takes 6/);
      await expect(session.run('main', { x: new Int32Array(6) })).rejects.toThrow(/Int32Array; float32 takes a Float32Array/);
      await expect(session.run('other', {})).rejects.toThrow(/no signature 'other'; it has main/);
      await expect(session.load([{ name: 'v', data: 'zeros' }])).rejects.toThrow(EngineError);
      await expect(session.load([{ name: 'w', data: new Float32Array(7) }])).rejects.toThrow(/variable w has 7 elements/);
    }));

  it('refuses to run when it is closed', async () => {
    let closed: Session | undefined;
    await withSession({ main: linear }, async session => {
      closed = session;
    });
    await expect(closed?.run('main', { x: new Float32Array(6) })).rejects.toThrow(/closed/);
    await closed?.dispose();
  });

  it('leaks no tensor, not even when a run fails', async () => {
    const addon = installed && loadAddon(installed);
    const before = addon?.getNumOfTensors();
    await withSession({ main: linear }, async session => {
      await expect(session.run('main', { x: counting })).rejects.toThrow(/Could not find variable|uninitialized/);
      await session.load([{ name: 'w', data: counting }]);
      for (let i = 0; i < 5; i++) await session.run('main', { x: counting });
      await session.read('w');
      expect(addon?.getNumOfTensors()).toBe(before);
    });
  });

  const samples: Record<DType, HostArray> = {
    float32: Float32Array.of(-0, 1.5, Number.POSITIVE_INFINITY, 1e-40, -3),
    bfloat16: Uint16Array.of(0x8000, 0x3fc0, 0x7f80, 0x0001, 0xc040),
    int32: Int32Array.of(0, -1, 2 ** 31 - 1, -(2 ** 31), 7),
    uint8: Uint8Array.of(0, 1, 255, 128, 7),
    int8: Int8Array.of(0, -1, 127, -128, 7),
    bool: Uint8Array.of(0, 1, 1, 0, 1),
  };
  for (const dtype of namesOf(samples)) {
    const data = samples[dtype];
    it(`carries every bit of ${dtype} in and out, as feed, variable and output`, () =>
      withSession(
        { main: g => ({ outputs: { x: g.feed('x', [5], dtype), v: g.read({ name: 'v', shape: [5], dtype }) } }) },
        async session => {
          await session.load([{ name: 'v', data }]);
          expect(await session.read('v')).toEqual(data);
          expect(await session.run('main', { x: data })).toEqual({ x: data, v: data });
          await session.load([{ name: 'v', data: 'zeros' }]);
          expect(await session.read('v')).toEqual(data.map(() => 0));
        },
      ));
  }

  it('streams variables from an async source, in any order, those of zeros among them', () =>
    withSession({ main: g => ({ outputs: { y: g.add(g.read(W), g.read({ ...W, name: 'u' })) } }) }, async session => {
      await session.load(
        (async function* () {
          yield { name: 'u', data: 'zeros' as const };
          yield { name: 'w', data: counting };
        })(),
      );
      expect(await session.run('main', {})).toEqual({ y: counting });
    }));

  it('shares variables between signatures', () =>
    withSession(
      {
        write: g => {
          g.declare(W);
          return { effects: [g.assign('w', g.feed('x', [2, 3]))] };
        },
        double: g => ({ effects: [g.assign('w', g.mul(g.read(W), 2))] }),
        main: linear,
      },
      async session => {
        const x = counting.slice();
        expect(await session.run('write', { x })).toEqual({});
        x.fill(0); // the variable must not be the fed array
        expect(await session.read('w')).toEqual(counting);
        await session.run('double', {});
        expect(await session.read('w')).toEqual(counting.map(v => v * 2));
      },
    ));

  it('runs effects where the schedule has them: a read before gives the old value, one after the new', () =>
    withSession(
      {
        main: g => {
          const before = g.read(W);
          const oldSum = g.sumAll(before);
          const token = g.updateRows('w', g.feed('rows', [1], 'int32'), g.feed('values', [1, 3]));
          const after = g.read(W, 1);
          return { outputs: { before, oldSum, after, newSum: g.sumAll(after), done: g.group([token]) } };
        },
      },
      async session => {
        await session.load([{ name: 'w', data: counting }]);
        const updated = Float32Array.of(1, 2, 3, 10, 20, 30);
        const outputs = await session.run('main', { rows: Int32Array.of(1), values: Float32Array.of(10, 20, 30) });
        expect(await session.read('w')).toEqual(updated);
        expect(outputs.before).toEqual(counting);
        expect(outputs.oldSum).toEqual(Float32Array.of(21));
        expect(outputs.after).toEqual(updated);
        expect(outputs.newSum).toEqual(Float32Array.of(66));
        expect(outputs.done).toEqual(Uint8Array.of(1));
      },
    ));

  it('keeps two variables apart when one is assigned from the other, from a constant, or from zeros', () =>
    withSession(
      {
        copy: g => {
          for (const name of ['a', 'b', 'c']) g.declare({ ...W, name });
          const values = [g.read(W), g.constant(counting, [2, 3], 'float32'), g.zeros([2, 3])];
          return { effects: ['a', 'b', 'c'].map((name, i) => g.assign(name, elementAt(values, i))) };
        },
        update: g => {
          for (const name of ['a', 'b', 'c']) g.declare({ ...W, name });
          const rows = g.constant(Int32Array.of(0), [1], 'int32');
          const values = g.constant(Float32Array.of(7, 7, 7), [1, 3], 'float32');
          return { effects: ['a', 'b', 'c'].map(name => g.updateRows(name, rows, values)) };
        },
      },
      async session => {
        await session.load([{ name: 'w', data: counting }]);
        for (let i = 0; i < 2; i++) {
          await session.run('copy', {});
          expect(await session.read('a')).toEqual(counting);
          expect(await session.read('b')).toEqual(counting);
          expect(await session.read('c')).toEqual(new Float32Array(6));
          await session.run('update', {});
          expect(await session.read('a')).toEqual(Float32Array.of(7, 7, 7, 4, 5, 6));
          expect(await session.read('c')).toEqual(Float32Array.of(7, 7, 7, 0, 0, 0));
          expect(await session.read('w')).toEqual(counting);
        }
      },
    ));
});
