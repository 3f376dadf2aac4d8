/** Bfloat16 convolutions if the processor has no instructions for them: they are computed in float32. Runs if the engine is installed. */
import { expect, test } from 'vitest';
import { loadAddon } from '../../../trainer/engine/tensorflow/addon.ts';
import { lowerProgram } from '../../../trainer/engine/tensorflow/lower.ts';
import { openSession } from '../../../trainer/engine/tensorflow/session.ts';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { openReference } from '../../support/engines.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { engineForTests } from './engine-for-tests.ts';

const { installed, reason } = await engineForTests();
const kernels = { plan: singleSteps, hasProducts: false, hasColumns: false, hasSums: false, hasNarrowKernels: false };

const SHAPE = [2, 7, 6, 8];
/** Grouped, with padding other than TensorFlow's own. */
const ATTRIBUTES = { strides: [2, 2], padding: [1, 1, 1, 1], dilations: [1, 1], groups: 2 } as const;

function program() {
  const graph = new Graph();
  const narrow = (name: string, shape: readonly number[]) => graph.cast(graph.feed(name, shape), 'bfloat16');
  const [x, filter] = [narrow('x', SHAPE), narrow('filter', [6, 4, 3, 3])];
  const y = graph.conv2d(x, filter, ATTRIBUTES);
  const outputs = {
    y,
    dx: graph.node('conv2dInputGrad', [y, filter], { ...ATTRIBUTES, inputShape: SHAPE }),
    dFilter: graph.node('conv2dFilterGrad', [x, y], { ...ATTRIBUTES, filterShape: [6, 4, 3, 3] }),
  };
  const wide = Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, graph.cast(node, 'float32')]));
  return assemble({ run: { graph, outputs: wide, effects: [] } });
}

test('no convolution runs in bfloat16', () => {
  const all = lowerProgram(program(), kernels).nodes.filter(({ op }) => op.startsWith('Conv2D'));
  expect(all.map(({ attr }) => attr.T)).toEqual(all.map(() => all[0]?.attr.T));
  expect(JSON.stringify(all[0]?.attr.T)).not.toBe(
    JSON.stringify(lowerProgram(program(), { ...kernels, hasNarrowKernels: true }).nodes.find(({ op }) => op === 'Conv2D')?.attr.T),
  );
});

test.skipIf(!installed)(`the results are those of the interpreter, rounded ${reason}`, async () => {
  if (!installed) return;
  const feeds = {
    x: Float32Array.from(randomNumbers(2 * 7 * 6 * 8, -1, 1, 3)),
    filter: Float32Array.from(randomNumbers(6 * 4 * 9, -1, 1, 4)),
  };
  const sessions = [openSession(loadAddon(installed), program(), { kernels }), await (await openReference()).compile(program())];
  const [ours, theirs] = await Promise.all(sessions.map(session => session.run('run', feeds)));
  for (const session of sessions) await session.dispose();
  for (const [name, values] of Object.entries(theirs ?? {})) expectClose([...(ours?.[name] ?? [])], [...values], 2 ** -7, name);
});
