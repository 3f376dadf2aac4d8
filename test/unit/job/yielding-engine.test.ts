/** Tests that a job's engine keeps every capability of the engine that it wraps, and compiles ahead if a device's compiler needs it. */
import { describe, expect, it } from 'vitest';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { compileAhead } from '../../../trainer/handlers/train/compile-ahead.ts';
import { Job } from '../../../trainer/job/job.ts';
import { yieldingEngine } from '../../../trainer/job/yielding-engine.ts';
import { describeWith } from '../../support/describe-with.ts';
import { openAllOthers } from '../../support/engines.ts';

const engines = await openAllOthers();

function twoSignatures() {
  const [one, two] = [new Graph(), new Graph()];
  return assemble({
    one: { graph: one, outputs: { y: one.add(one.feed('x', [2]), one.read({ name: 'w', shape: [2], dtype: 'float32' })) }, effects: [] },
    two: { graph: two, outputs: { y: two.mul(two.feed('x', [2]), 2) }, effects: [] },
  });
}

for (const { name, engine, missing = '' } of engines)
  describeWith(`a session of a job on ${name}`, engine, missing, real => {
    it('computes weights in the native code of its engine, and keeps what else the engine can', async () => {
      const own = await real.compile(twoSignatures());
      const wrapped = await yieldingEngine({ ...real, compile: async () => own }, new Job(() => undefined)).compile(twoSignatures());
      expect(wrapped.coder).toBe(own.coder);
      expect(wrapped.runsAhead).toBe(own.runsAhead);
      expect(typeof wrapped.runEach).toBe(typeof own.runEach);
      expect(typeof wrapped.compileAhead).toBe(typeof own.compileAhead);
      await wrapped.load([{ name: 'w', data: Float32Array.of(1, 2) }]);
      expect(await wrapped.run('one', { x: Float32Array.of(3, 4) })).toEqual({ y: Float32Array.of(4, 6) });
      expect(await wrapped.read('w')).toEqual(Float32Array.of(1, 2));
      await wrapped.dispose();
    });
  });

describe('compiling ahead', () => {
  it('compiles every signature, and ends with the job between two of them', async () => {
    const job = new Job(() => undefined);
    const compiled: string[] = [];
    await compileAhead({ compileAhead: async name => void compiled.push(name) }, twoSignatures(), job);
    expect(compiled).toEqual(['one', 'two']);
    const stopping = compileAhead(
      {
        compileAhead: async name => {
          compiled.push(name);
          job.requestStop({ save: false, reason: 'enough' });
        },
      },
      twoSignatures(),
      job,
    );
    await expect(stopping).rejects.toThrow();
    expect(compiled).toEqual(['one', 'two', 'one']);
  });

  it('does nothing on an engine whose compiler takes nothing of the device', async () => {
    await expect(compileAhead({}, twoSignatures(), new Job(() => undefined))).resolves.toBeUndefined();
  });
});
