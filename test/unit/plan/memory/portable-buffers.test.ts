/** Compares the predicted memory of the portable engine's kernels with the bytes that its WebAssembly backend really holds. */
import { backend, DataStorage } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { openPortable } from '../../../../trainer/engine/portable/engine.ts';
import type { OpName } from '../../../../trainer/graph/attributes.ts';
import { singleSteps } from '../../../../trainer/graph/fusion/step.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { liveness } from '../../../../trainer/graph/liveness.ts';
import { assemble, type Program } from '../../../../trainer/graph/program.ts';
import { elementCount, type HostArray } from '../../../../trainer/graph/types.ts';
import { required, valueFor } from '../../../../trainer/narrow.ts';
import { portableBuffers, portableBytes } from '../../../../trainer/plan/memory/portable-buffers.ts';
import { allCases } from '../../../support/numbers/operation-table.ts';
import { forwardProgram, type Inputs, inputsOf } from '../../../support/numbers/run-case.ts';

const engine = await openPortable({ backend: 'wasm' });

/** Counts the tensors of tfjs's backend as they are created and freed, whatever handles share them. */
function countBytes() {
  const dataIdMap: unknown = Reflect.get(backend(), 'dataIdMap');
  if (!(dataIdMap instanceof DataStorage)) throw new Error('the backend keeps its tensors elsewhere');
  const { set, delete: remove } = dataIdMap;
  const sizes = new Map<object, number>();
  const count = { now: 0, peak: 0 };
  dataIdMap.set = (id, entry) => {
    set.call(dataIdMap, id, entry);
    count.now -= sizes.get(id) ?? 0;
    sizes.set(id, elementCount(entry.shape) * (entry.dtype === 'bool' ? 1 : 4));
    count.now += valueFor(sizes, id);
    count.peak = Math.max(count.peak, count.now);
  };
  dataIdMap.delete = id => {
    count.now -= sizes.get(id) ?? 0;
    sizes.delete(id);
    return remove.call(dataIdMap, id);
  };
  return { count, stop: () => Object.assign(dataIdMap, { set, delete: remove }) };
}

async function peaks(program: Program, variables: Readonly<Record<string, { readonly data: HostArray }>>, feeds: Inputs) {
  const session = await engine.compile(program);
  const counted = countBytes();
  await session.load(Object.entries(variables).map(([name, { data }]) => ({ name, data })));
  counted.count.peak = counted.count.now;
  await session.run('run', feeds);
  counted.stop();
  await session.dispose();
  const held = program.variables.reduce((sum, variable) => sum + portableBytes(variable), 0);
  const run = required(program.signatures.run, 'run');
  const { peakBytes } = liveness(run, singleSteps(run), portableBuffers(program.variables));
  return { measured: counted.count.peak, predicted: held + peakBytes };
}

/** Bytes of scalars within a kernel, which the rules omit. */
const SCALARS = 64;
/**
 * Operations whose operands XNNPACK packs outside tfjs's tensors; the prediction counts them, but the backend cannot. A depthwise
 * convolution packs nothing.
 */
const PACKS: ReadonlySet<OpName> = new Set<OpName>(['matmul', 'conv2d', 'conv2dInputGrad', 'conv2dFilterGrad']);

/** Operations whose memory depends on the assignments; the prediction is for the worst case. */
const BY_DATA: ReadonlySet<OpName> = new Set<OpName>(['expertProduct', 'expertGradient']);
const most = (op: OpName): number => (BY_DATA.has(op) ? 3 : PACKS.has(op) ? 1.6 : 1.1);

/** False for operations that the interpreter has only as references for kernels of devices; no plan of this engine contains them. */
const isPlanned = (op: OpName): boolean => op !== 'attention' && op !== 'attentionGradient';

it.each(allCases.filter(({ op }) => isPlanned(op)))('$op: $test.title', async ({ op, test }) => {
  const { measured, predicted } = await peaks(forwardProgram(test), test.variables ?? {}, inputsOf(test));
  expect(predicted).toBeGreaterThan(0.95 * measured - SCALARS);
  expect(predicted).toBeLessThan(most(op) * measured + SCALARS);
});

it('reads a variable without a copy of it', async () => {
  const graph = new Graph();
  const w = graph.read({ name: 'w', shape: [64, 64], dtype: 'float32' });
  const y = graph.sumAll(graph.reshape(w, [4096]));
  const program = assemble({ run: { graph, outputs: { y }, effects: [] } });
  const { measured } = await peaks(program, { w: { data: new Float32Array(4096) } }, {});
  // The sums of blocks take a sixty-fourth; a copy would double the memory.
  expect(measured).toBeLessThan(4096 * 4 * 1.1);
});
