/**
 * Tests programs on several devices of one process: the PJRT plugin for the processor divides it into devices, and their sums are within
 * the program.
 */
import { afterAll, expect, it } from 'vitest';
import { EngineError } from '../../../../trainer/engine/engine.ts';
import { locatePjrt } from '../../../../trainer/engine/install/pjrt-folder.ts';
import { openPjrt, type PjrtEngine } from '../../../../trainer/engine/pjrt/engine.ts';
import { openPortable } from '../../../../trainer/engine/portable/engine.ts';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble, type Program } from '../../../../trainer/graph/program.ts';
import { float32Of } from '../../../../trainer/graph/types.ts';
import { elementAt, required, valueFor } from '../../../../trainer/narrow.ts';
import { runForEach } from '../../../../trainer/train/run-on-each.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';

const installed = locatePjrt(cacheDir);
const DEVICES = 4;
const engine = installed ? await openPjrt({ cacheDir, devices: DEVICES }) : undefined;
afterAll(() => engine?.device.addon.closeClient(engine.device.client));

const describeHere = (title: string, declare: (pjrt: PjrtEngine) => void): void =>
  describeWith(title, engine, 'no PJRT plugin; rowtune engine install --variant pjrt-cpu', declare);

const WIDTH = 3;

/** A program that adds the sum of x over all devices to a total; `own` is x itself, and `draws` the device's part of a mask. */
function addingProgram(count: number): Program {
  const graph = new Graph({ count, own: 'each' });
  const x = graph.feed('x', [WIDTH]);
  const mask = graph.cast(graph.randomMask(graph.feed('seed', [2], 'int32'), [5, 7], 0.5), 'float32');
  graph.declare({ name: 'total', shape: [WIDTH], dtype: 'float32' });
  const sum = graph.totalOf(x);
  return assemble({
    step: { graph, outputs: { own: graph.mul(x, 2), sum, draws: mask }, effects: [graph.assignAdd('total', sum)] },
    show: showing(),
  });
}

function showing() {
  const graph = new Graph();
  return { graph, outputs: { total: graph.mul(graph.read({ name: 'total', shape: [WIDTH], dtype: 'float32' }), 1) }, effects: [] };
}

/** A program with squares of products with a weight, which each device computes for its own batch. */
function evaluatingProgram(replicas: number): Program {
  const graph = new Graph();
  const y = graph.matmul(graph.feed('x', [2, WIDTH]), graph.read({ name: 'w', shape: [WIDTH, WIDTH], dtype: 'float32' }));
  return assemble({ evaluate: { graph, outputs: { losses: graph.sum(graph.mul(y, y), [1]) }, effects: [], replicas } });
}

/** The same mask of the whole batch, drawn by one device. */
function wholeMask(count: number): Program {
  const graph = new Graph();
  const mask = graph.randomMask(graph.feed('seed', [2], 'int32'), [count * 5, 7], 0.5);
  return assemble({ draw: { graph, outputs: { draws: graph.cast(mask, 'float32') }, effects: [] } });
}

const seed = Int32Array.of(11, 12);
const feedsOf = (device: number) => ({ x: Float32Array.of(device + 1, 10 * device, -device), seed });

/** Fully tuned layers with 1 MB of weights each; every update waits for the next gradient, as in training. */
function tunedProgram(layers: number, replicas: number): Program {
  const graph = new Graph(replicas > 1 ? { count: replicas, own: 'each' } : undefined);
  const weights = Array.from({ length: layers }, (_, i) => graph.read({ name: `w${i}`, shape: [512, 512], dtype: 'float32' }));
  const y = weights.reduce((x, w) => graph.tanh(graph.matmul(x, w, { transposeB: true })), graph.feed('x', [64, 512]));
  const seeds = [{ node: graph.sumAll(y), gradient: graph.scalar(1) }];
  const gradients = backward(graph, { seeds, wrt: new Map(weights.map(w => [w, {}])), policy: 'none' });
  const sums = weights.toReversed().map(w => graph.totalOf(valueFor(gradients, w)));
  const effects = weights.toReversed().map((w, i) => graph.assign(`w${layers - 1 - i}`, graph.sub(w, graph.mul(elementAt(sums, i), 0.1))));
  return assemble({ step: { graph, outputs: { loss: graph.sumAll(y) }, effects } });
}

describeHere('several devices of one process', pjrt => {
  const { addon, client } = pjrt.device;

  it.each([2, 4])('sum over %i within one program, and each has its own feeds, outputs and part of a mask', async count => {
    const before = addon.alive(client);
    const session = await pjrt.compile(addingProgram(count));
    await session.load([{ name: 'total', data: Float32Array.of(1, 2, 3) }]);
    const devices = [...Array(count).keys()];
    const outputs = await session.runEach('step', devices.map(feedsOf));
    const [one, two, three] = [devices, devices, devices].map((all, i) => all.reduce((sum, d) => sum + elementAt([...feedsOf(d).x], i), 0));
    for (const [device, own] of outputs.entries()) {
      expect(own.sum).toEqual(Float32Array.of(one ?? 0, two ?? 0, three ?? 0));
      expect(own.own).toEqual(feedsOf(device).x.map(value => 2 * value));
    }
    const whole = await pjrt.compile(wholeMask(count));
    const { draws } = await whole.run('draw', { seed });
    expect(outputs.flatMap(({ draws: own }) => [...float32Of(required(own, 'draws'))])).toEqual([...float32Of(required(draws, 'draws'))]);
    await whole.dispose();
    await session.dispose();
    expect(addon.alive(client)).toEqual(before);
  });

  it('keep copies of a variable that are alike to the bit, and one of them serves what runs on one device', async () => {
    const session = await pjrt.compile(addingProgram(DEVICES));
    await session.load([{ name: 'total', data: 'zeros' }]);
    // One third in float32, so that sums in another order would differ.
    const third = (device: number) => ({ x: Float32Array.of(1 / 3, 10 ** device / 3, 1e-3 / (device + 3)), seed });
    for (let step = 0; step < 20; step++) await session.runEach('step', [...Array(DEVICES).keys()].map(third));
    const copies = await session.readEach('total');
    expect(copies).toHaveLength(DEVICES);
    for (const copy of copies) expect(copy).toEqual(copies[0]);
    expect(await session.read('total')).toEqual(copies[0]);
    expect(await session.run('show', {})).toEqual({ total: copies[0] });
    // `run` feeds the same to all devices.
    const { sum } = await session.run('step', feedsOf(1));
    expect(sum).toEqual(feedsOf(1).x.map(value => DEVICES * value));
    await session.dispose();
  });

  it('change their variables where they lie', async () => {
    const session = await pjrt.compile(addingProgram(2));
    await session.load([{ name: 'total', data: 'zeros' }]);
    await session.run('step', feedsOf(0));
    const [place, held] = [session.address('total'), addon.alive(client)];
    for (let step = 0; step < 10; step++) await session.run('step', feedsOf(0));
    expect(session.address('total')).toBe(place);
    expect(addon.alive(client)).toEqual(held);
    await session.dispose();
  });

  it('take room for sums, and for no copy of the weights', async () => {
    const [layers, weightBytes] = [8, 4 * 512 * 512];
    const temporaries: number[] = [];
    for (const replicas of [1, 2]) {
      const session = await pjrt.compile(tunedProgram(layers, replicas));
      const memory = await session.compiledMemory('step');
      expect(memory.aliased).toBe(layers * weightBytes);
      temporaries.push(memory.temporaries);
      await session.dispose();
    }
    const [one = 0, two = 0] = temporaries;
    console.log(`temporaries of a step: ${one} bytes on one device, ${two} on each of two`);
    // As in the estimate: gradients, and their sums.
    expect(two - one).toBeLessThanOrEqual(2 * layers * weightBytes);
  });

  it('evaluate batches of their own at the same time, to the bit as one device does', async () => {
    const session = await pjrt.compile(evaluatingProgram(DEVICES));
    const alone = await pjrt.compile(evaluatingProgram(1));
    const weights = [{ name: 'w', data: Float32Array.from({ length: WIDTH * WIDTH }, (_, i) => 1 / (i + 3)) }];
    for (const each of [session, alone]) await each.load(weights);
    const batches = Array.from({ length: DEVICES }, (_, i) => ({ x: Float32Array.from({ length: 2 * WIDTH }, (_, j) => (i + j) / 7) }));
    const expected = await Promise.all(batches.map(feeds => alone.run('evaluate', feeds)));
    expect(new Set(expected.map(({ losses }) => String(losses))).size).toBe(DEVICES);
    expect(await runForEach(session, 'evaluate', { feeds: batches, devices: DEVICES })).toEqual(expected);
    // Devices without a batch return nothing.
    expect(await runForEach(session, 'evaluate', { feeds: batches.slice(1, 3), devices: DEVICES })).toEqual(expected.slice(1, 3));
    expect(await session.readEach('w')).toHaveLength(DEVICES);
    for (const each of [session, alone]) await each.dispose();
  });

  it('are refused where there are fewer, or a signature would change one copy of several', async () => {
    await expect(pjrt.compile(addingProgram(DEVICES + 1))).rejects.toThrow(/step runs on 5 devices at the same time, but there are 4/);
    const graph = new Graph();
    const change = { graph, outputs: {}, effects: [graph.assign('total', graph.feed('x', [WIDTH]))] };
    const { signatures, variables } = addingProgram(2);
    const both = { variables, signatures: { ...signatures, ...assemble({ change }).signatures } };
    await expect(pjrt.compile(both)).rejects.toThrow(/change changes total on 1 of the 2 devices that have a copy of it/);
    const session = await pjrt.compile(addingProgram(2));
    const wrong = session.runEach('step', [feedsOf(0)]);
    await expect(wrong).rejects.toThrow(/step runs on 2 devices at the same time, but was given feeds of 1/);
    await expect(wrong).rejects.toBeInstanceOf(EngineError);
    await session.dispose();
  });

  it('are refused by an engine that has one', async () => {
    const portable = await openPortable({ backend: 'cpu' });
    await expect(portable.compile(addingProgram(2))).rejects.toThrow(/step needs 2 devices, but this engine supports only one/);
  });
});
