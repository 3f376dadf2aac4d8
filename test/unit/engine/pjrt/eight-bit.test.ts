/** Tests Adam with 8-bit moments on the PJRT engine: each update ends before the next one widens its moments. */
import { expect, it } from 'vitest';
import { locatePjrt } from '../../../../trainer/engine/install/pjrt-folder.ts';
import { openPjrt, type PjrtEngine } from '../../../../trainer/engine/pjrt/engine.ts';
import { lowerSignature } from '../../../../trainer/engine/pjrt/lower.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';
import { declareFeeds, optimizerState, update } from '../../../../trainer/train/optimizer.ts';
import type { OptimizerSettings } from '../../../../trainer/train/optimizer-settings.ts';
import { updateGroups } from '../../../../trainer/train/update-group.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { adamw } from '../../../support/runs/tiny-training.ts';

const engine = locatePjrt(cacheDir) ? await openPjrt({ cacheDir }) : undefined;

const eightBit: OptimizerSettings = { ...adamw, eightBitFrom: 1 };

const WIDTH = 512;
const MATRIX_BYTES = 4 * WIDTH * WIDTH;

/** An update of whole matrices whose gradients are all present before the first update, because each is scaled by their norm. */
function updateProgram(layers: number, settings: OptimizerSettings = eightBit) {
  const graph = new Graph();
  const feeds = declareFeeds(graph);
  const names = Array.from({ length: layers }, (_, i) => `w${i}`);
  const gradients = names.map(name => graph.matmul(graph.feed(`x ${name}`, [WIDTH, 8]), graph.feed(`y ${name}`, [8, WIDTH])));
  const squares = gradients.map(gradient => graph.sumAll(graph.square(gradient)));
  const length = graph.sqrt(squares.reduce((sum, each) => graph.add(sum, each)));
  const groups = updateGroups(
    names.map(name => ({ name, variable: { name, shape: [WIDTH, WIDTH], dtype: 'float32' as const }, shape: [WIDTH, WIDTH] })),
    settings,
  );
  const effects = groups.flatMap((group, i) =>
    update(graph, { settings, group, gradient: graph.div(elementAt(gradients, i), length), feeds }),
  );
  const program = assemble({ step: { graph, outputs: { length }, effects } });
  return { program, state: groups.flatMap(group => optimizerState(settings, group)) };
}

describeWith('updates with 8-bit moments', engine, 'rowtune engine install --variant pjrt-cpu', (pjrt: PjrtEngine) => {
  it('take room for all gradients, copies of the codes, and the float32 numbers of one update', async () => {
    const bytes: number[] = [];
    for (const layers of [2, 10]) {
      const session = await pjrt.compile(updateProgram(layers).program);
      bytes.push((await session.compiledMemory('step')).temporaries);
      await session.dispose();
    }
    // A gradient and two copies of codes; without ordering, also two widened moments.
    const eachLayer = (elementAt(bytes, 1) - elementAt(bytes, 0)) / 8;
    expect(eachLayer).toBeLessThan(2 * MATRIX_BYTES);
  });

  it('run one after the other, and updates with float32 moments do not', () => {
    const waits = (settings: OptimizerSettings): number => {
      const { program } = updateProgram(2, settings);
      const specs = new Map(program.variables.map(spec => [spec.name, spec]));
      const { text } = lowerSignature(required(program.signatures.step, 'step'), specs);
      return text.match(/stablehlo\.slice .*tensor<1x1xf32>/g)?.length ?? 0;
    };
    // 0 times a value, for each moment of the second matrix.
    expect(waits(eightBit)).toBe(2);
    expect(waits(adamw)).toBe(0);
  });
});
