/** Tests the portable engine as a whole: nothing leaks, errors say what to do, and the same seed gives the same values on every backend. */
import { memory } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../trainer/engine/engine.ts';
import { openPortable } from '../../../trainer/engine/portable/engine.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { expectHeldAsGiven } from '../../support/models/held-variables.ts';
import { allCases } from '../../support/numbers/operation-table.ts';
import { forwardProgram, inputsOf, runGradients } from '../../support/numbers/run-case.ts';

const backends = ['cpu', 'wasm'] as const;
const engines = await Promise.all(backends.map(async backend => ({ backend, engine: await openPortable({ backend }) })));

/** A step with a weight, a gain and everything that a training step does to them. */
function stepProgram() {
  const graph = new Graph();
  const w = graph.read({ name: 'w', shape: [3, 2], dtype: 'float32' });
  const x = graph.feed('x', [4, 2]);
  const y = graph.tanh(graph.matmul(x, w, { transposeB: true }));
  const rows = graph.constant(Int32Array.of(0, 2), [2], 'int32');
  const update = graph.updateRows('w', rows, graph.mul(graph.gather(w, rows), 0.5));
  return assemble({ step: { graph, outputs: { y, same: graph.reshape(y, [12]) }, effects: [update] } });
}

describe.each(engines)('$backend', ({ engine }) => {
  it('keeps no tensor but the variables after a run of any operation', async () => {
    const before = memory().numTensors;
    for (const { test } of allCases) {
      const session = await engine.compile(forwardProgram(test));
      const variables = Object.entries(test.variables ?? {});
      await session.load(variables.map(([name, { data }]) => ({ name, data })));
      for (let run = 0; run < 2; run++) {
        await session.run('run', inputsOf(test));
        expect(memory().numTensors - before, test.title).toBe(variables.length);
      }
      await session.dispose();
      expect(memory().numTensors, test.title).toBe(before);
    }
  });

  it('keeps no tensor after a backward pass', async () => {
    const before = memory().numTensors;
    for (const { test } of allCases.filter(({ test }) => test.gradients))
      await runGradients(engine, test, Object.keys(test.gradients ?? {}), false);
    expect(memory().numTensors).toBe(before);
  });

  it('keeps no tensor when a run fails half-way', async () => {
    const graph = new Graph();
    const ids = graph.feed('ids', [2], 'int32');
    const y = graph.gather(graph.exp(graph.feed('x', [3])), ids);
    const session = await engine.compile(assemble({ run: { graph, outputs: { y }, effects: [] } }));
    const before = memory().numTensors;
    await expect(session.run('run', { ids: Int32Array.of(0, 9), x: new Float32Array(3) })).rejects.toThrow(/gather.*9/);
    expect(memory().numTensors).toBe(before);
  });

  it('holds a variable per name, and streams them in', async () => {
    const session = await engine.compile(stepProgram());
    async function* values() {
      yield { name: 'w', data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    }
    await session.load(values());
    const feeds = { x: Float32Array.of(1, 0, 0, 1, 1, 1, 0, 0) };
    const { y, same } = await session.run('step', feeds);
    expect(same).toEqual(y);
    expect(Array.from(await session.read('w'))).toEqual([0.5, 1, 3, 4, 2.5, 3]);
    await session.load([{ name: 'w', data: 'zeros' }]);
    expect(Array.from(await session.read('w'))).toEqual([0, 0, 0, 0, 0, 0]);
    await session.dispose();
  });

  it('gives and takes arrays of its own', async () => {
    const session = await engine.compile(stepProgram());
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    await session.load([{ name: 'w', data }]);
    data.fill(9);
    const read = await session.read('w');
    expect(Array.from(read)).toEqual([1, 2, 3, 4, 5, 6]);
    read.fill(7);
    expect(Array.from(await session.read('w'))).toEqual([1, 2, 3, 4, 5, 6]);
    await session.dispose();
  });

  it.each([
    ['an unknown signature', 'other', { x: new Float32Array(8) }, /no signature other; it has step/],
    ['a missing feed', 'step', {}, /feed x needs 8 elements.*nothing was given/],
    ['a feed of another length', 'step', { x: new Float32Array(7) }, /feed x needs 8 elements.*7 were given/],
    ['a feed of another type', 'step', { x: new Int32Array(8) }, /Float32Array.*a Int32Array was given/],
    ['a variable never loaded', 'step', { x: new Float32Array(8) }, /variable w is read before anything was loaded/],
  ])('refuses %s', async (_, signature, feeds: Record<string, Float32Array | Int32Array>, message) => {
    const session = await engine.compile(stepProgram());
    const refused = session.run(signature, feeds);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toBeInstanceOf(EngineError);
  });

  it('holds bfloat16, int8, uint8 and bool variables as the host gave them', () => expectHeldAsGiven(engine));

  it('rounds the result of a bfloat16 product', async () => {
    const graph = new Graph();
    const x = graph.cast(graph.feed('x', [1, 2]), 'bfloat16');
    const y = graph.cast(graph.matmul(x, x, { transposeB: true }), 'float32');
    const session = await engine.compile(assemble({ run: { graph, outputs: { y }, effects: [] } }));
    // 1.0078125² + 1 = 2.01568…, which bfloat16 rounds to 2.015625.
    expect(Array.from((await session.run('run', { x: Float32Array.of(1.0078125, 1) })).y ?? [])).toEqual([2.015625]);
  });
});

it('gives the same random numbers for a seed on every backend, and others for another', async () => {
  const graph = new Graph();
  const y = graph.cast(graph.randomMask(graph.feed('seed', [2], 'int32'), [7, 9], 0.5), 'float32');
  const program = assemble({ run: { graph, outputs: { y }, effects: [] } });
  const draw = async (which: number, seed: number[]) => {
    const session = await elementAt(engines, which).engine.compile(program);
    return Array.from((await session.run('run', { seed: Int32Array.from(seed) })).y ?? []);
  };
  const first = await draw(0, [1, -2]);
  expect(await draw(1, [1, -2])).toEqual(first);
  expect(await draw(0, [1, -1])).not.toEqual(first);
});

it('lets sessions of two backends run at the same time', async () => {
  const sessions = await Promise.all(engines.map(({ engine }) => engine.compile(stepProgram())));
  await Promise.all(sessions.map(session => session.load([{ name: 'w', data: Float32Array.of(1, 2, 3, 4, 5, 6) }])));
  const x = Float32Array.of(0.1, 0, 0, 0.1, 0.1, 0.1, 0, 0);
  const runs = await Promise.all(sessions.flatMap(session => [session.run('step', { x }), session.run('step', { x })]));
  const rounded = runs.map(({ y }) => Array.from(y ?? [], value => value.toFixed(5)));
  expect(rounded[2]).toEqual(rounded[0]);
  expect(rounded[3]).toEqual(rounded[1]);
  expect(rounded[1]).not.toEqual(rounded[0]);
  await Promise.all(sessions.map(session => session.dispose()));
});

it('says which backend runs, and why a better one was passed over', async () => {
  const lines: string[] = [];
  const engine = await openPortable({ log: line => lines.push(line) });
  expect(lines.at(-1)).toBe(`portable engine: ${engine.description.summary}`);
  if (engine.description.device === 'cpu') expect(lines.length).toBeGreaterThan(1);
});
