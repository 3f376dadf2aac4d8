/** Compares every operation on WebGPU with the plain cpu backend. Runs if there is any adapter, including a software one. */
import { memory, pad, zeros } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { openPortable } from '../../trainer/engine/portable/engine.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { attempt, describeOn } from '../support/engines.ts';
import { expectClose } from '../support/numbers/closeness.ts';
import { allCases } from '../support/numbers/operation-table.ts';
import { runCase, runGradients } from '../support/numbers/run-case.ts';

/** WGSL allows errors of some 1e-5 in exp, tanh, sin and cos. */
const TOLERANCE = 5e-5;

const reference = await openPortable({ backend: 'cpu' });
const webgpu = await attempt('webgpu against the plain cpu backend', () => openPortable({ backend: 'webgpu' }));

describeOn([webgpu], engine => {
  for (const { test } of allCases)
    it(test.title, async () => {
      const before = memory().numTensors;
      const [actual, expected] = [await runCase(engine, test), await runCase(reference, test)];
      expectClose(actual.y, expected.y, Math.max(TOLERANCE, test.tolerance ?? 0));
      for (const [name, values] of Object.entries(expected.variables)) expectClose(actual.variables[name] ?? [], values, TOLERANCE, name);
      const wanted = Object.keys({ ...test.gradients, ...test.expectedGradients });
      if (wanted.length > 0) {
        const [ours, theirs] = [await runGradients(engine, test, wanted, false), await runGradients(reference, test, wanted, false)];
        for (const name of wanted) expectClose(ours[name] ?? [], theirs[name] ?? [], TOLERANCE, `gradient of ${name}`);
      }
      expect(memory().numTensors).toBe(before);
    });

  it('reports what the GPU refuses, instead of giving zeros', async () => {
    const { test } = elementAt(allCases, 0);
    await runCase(engine, test);
    // A shader of tfjs 4.22 that does not compile: padding at rank 5.
    const broken = pad(zeros([1, 1, 1, 1, 1]), new Array<[number, number]>(5).fill([1, 1]));
    await broken.data();
    broken.dispose();
    await expect(runCase(engine, test)).rejects.toThrow(/webgpu device failed/);
    await runCase(engine, test);
  });
});
