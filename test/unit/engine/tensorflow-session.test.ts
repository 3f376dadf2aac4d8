/** The TensorFlow engine end to end. Runs where it is installed (ROWTUNE_CACHE, or ~/.cache/rowtune). */
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../trainer/engine/engine.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { engineForTests } from './engine-for-tests.ts';

const { engine, reason } = await engineForTests();

describe.skipIf(!engine)(`tensorflow session ${reason}`, () => {
  const open = (build: (g: Graph) => { outputs: Record<string, ReturnType<Graph['add']>>; effects?: ReturnType<Graph['add']>[] }) => {
    const graph = new Graph();
    const { outputs, effects = [] } = build(graph);
    if (!engine) throw new Error('unreachable: the suite is skipped');
    return engine.compile(assemble({ main: { graph, outputs, effects } }));
  };

  it('multiplies, adds, loads and reads', async () => {
    const session = await open(g => {
      const x = g.feed('x', [2, 3]);
      const w = g.read({ name: 'w', shape: [2, 3], dtype: 'float32' });
      return { outputs: { y: g.add(g.matmul(x, w, { transposeB: true }), 1) } };
    });
    const w = Float32Array.of(1, 2, 3, 4, 5, 6);
    await session.load([{ name: 'w', data: w }]);
    w.fill(9); // the variable is a copy
    expect(await session.read('w')).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    const { y } = await session.run('main', { x: Float32Array.of(1, 0, 0, 0, 1, 0) });
    expect(y).toEqual(Float32Array.of(2, 5, 3, 6));
    await session.dispose();
    await expect(session.run('main', { x: new Float32Array(6) })).rejects.toThrow(EngineError);
  });
});
