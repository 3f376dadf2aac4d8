/**
 * Tests that optimizer state on disk gives the same numbers as state in memory, bit for bit, as does state in host memory on PJRT. On the
 * host of TensorFlow's GPU, the numbers are those of the same formulas.
 */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { HOST } from '../../../trainer/engine/tensorflow/emitter.ts';
import { lowerProgram } from '../../../trainer/engine/tensorflow/lower.ts';
import type { NodeDef } from '../../../trainer/engine/tensorflow/node-def.ts';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import type { Program } from '../../../trainer/graph/program.ts';
import type { Attachment } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import { elementAt, valueFor } from '../../../trainer/narrow.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import type { Offload, OptimizerSettings } from '../../../trainer/train/optimizer-settings.ts';
import { trainProgram } from '../../../trainer/train/train-program.ts';
import { describeWith } from '../../support/describe-with.ts';
import { casesOn, engineNamed, openAllOthers } from '../../support/engines.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';
import { adamw, openTiny, type TinyRunParams, wholeShape, withTinyRun } from '../../support/runs/tiny-training.ts';

const engines = await openAllOthers();
const { engine, missing } = engineNamed(engines, 'tensorflow');
/** The engine, if it moves state between an update's steps. */
const moving = engine?.description.fuses ? engine : undefined;
const reason = missing ?? engine?.description.unfused;
const tiny = await openTiny('llama');

const attach = (method: MethodName, dtype: 'float32' | 'bfloat16' = 'float32'): Attachment => {
  const settings = settingsOf();
  const attached = methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings));
  return placeTrained(attached, tiny.model, { dtype, quantize: 'none' });
};
const toDisk: Offload = { to: 'disk', fromGpu: false, from: 1 };
const fromGpu: Offload = { to: 'host', fromGpu: true, from: 1 };
const sgd: OptimizerSettings = { ...adamw, name: 'sgd', momentum: 0.9 };

/** Every way in which an update reads and writes state. */
const cases: { name: string; attachment: Attachment; optimizer: OptimizerSettings; changes?: Partial<TinyRunParams> }[] = [
  { name: 'full, clipped', attachment: attach('full'), optimizer: adamw, changes: { maxGradNorm: 0.5 } },
  { name: 'full in bfloat16: masters too', attachment: attach('full', 'bfloat16'), optimizer: adamw },
  { name: 'full in bfloat16, SGD', attachment: attach('full', 'bfloat16'), optimizer: sgd },
  { name: 'full, 8 bits', attachment: attach('full'), optimizer: { ...adamw, eightBitFrom: 4096 } },
  { name: 'rows', attachment: attach('spsft'), optimizer: adamw, changes: { maxGradNorm: 0.5 } },
  { name: 'rows in bfloat16', attachment: attach('spsft', 'bfloat16'), optimizer: { ...adamw, name: 'adam' } },
  { name: 'elements', attachment: attach('rosa'), optimizer: adamw },
  { name: 'lora, 8 bits', attachment: attach('lora'), optimizer: { ...adamw, eightBitFrom: 256 } },
  { name: 'lora, SGD with momentum', attachment: attach('lora'), optimizer: sgd },
];

/** Runs three updates, a snapshot, and one more; then restores the snapshot and repeats the last update. */
const traceOn = (on: Engine, { attachment, optimizer, changes }: (typeof cases)[number], offload?: Offload) =>
  withTinyRun({ engine: on, tiny, attachment, optimizer: { ...optimizer, offload }, ...changes }, async run => {
    const losses = await run.steps(3);
    const at = await run.snapshot();
    losses.push(...(await run.steps(1)));
    const last = await run.snapshot();
    await run.restore(at, 3);
    losses.push(...(await run.steps(1)));
    expect(await run.snapshot()).toEqual(last);
    return { losses, last };
  });

describeWith('disk', moving, reason, on => {
  test.each(cases)('$name: the same to the bit', async one => {
    expect(await traceOn(on, one, toDisk)).toEqual(await traceOn(on, one));
  });

  test('accumulated gradients', async () => {
    const params = { engine: on, tiny, attachment: attach('spsft'), accumulationSteps: 2 };
    const run = (offload?: Offload) =>
      withTinyRun({ ...params, optimizer: { ...adamw, offload } }, async run => {
        await run.accumulatedStep();
        await run.accumulatedStep();
        return run.snapshot();
      });
    expect(await run(toDisk)).toEqual(await run());
  });

  test('a folder that has no room, or is not there, is named', async () => {
    const programOf = (numbers: number): Program => ({
      variables: [{ name: 'm', shape: [numbers], dtype: 'float32' }],
      signatures: {},
      places: new Map([['m', 'disk']]),
    });
    await expect(on.compile(programOf(2 ** 44), { offloadFolder: tmpdir() })).rejects.toThrow(
      /70368745 MB for the optimizer's state could not be set aside .*: \d+ MB are free/,
    );
    const gone = join(tmpdir(), 'rowtune-no-such-folder');
    await expect(on.compile(programOf(4), { offloadFolder: gone })).rejects.toThrow(gone);
  });
});

const { engine: pjrt, missing: noPjrt } = engineNamed(engines, 'pjrt');

describeWith('the memory of the host next to a device of PJRT', pjrt, noPjrt, on => {
  const toHost: Offload = { to: 'host', fromGpu: false, from: 1 };
  const few = casesOn('pjrt', cases, ({ name }) => name === 'full, clipped' || name === 'rows in bfloat16');

  test.each(few)('$name: the same to the bit', async one => {
    expect(await traceOn(on, one, toHost)).toEqual(await traceOn(on, one));
  });

  test('a variable on disk is refused', async () => {
    const program: Program = { variables: [{ name: 'm', shape: [4], dtype: 'float32' }], signatures: {}, places: new Map([['m', 'disk']]) };
    await expect(on.compile(program)).rejects.toThrow(/optimizer_offload: disk is not possible on the PJRT engine/);
  });
});

describe('host', () => {
  const programOf = (attachment: Attachment) =>
    trainProgram({
      task: causalTask(tiny.model),
      attachment,
      optimizer: { ...adamw, offload: fromGpu },
      maxGradNorm: 1,
      accumulationSteps: 1,
      recompute: 'none',
      trainShapes: [wholeShape],
      evalShapes: [],
    });

  /** No GPU is needed to check where TensorFlow runs each node. */
  test.each(['full', 'spsft'] as const)('%s: state and its arithmetic are on the host, weights and products are not', method => {
    const program = programOf(attach(method));
    const { nodes } = lowerProgram(program, {
      plan: singleSteps,
      hasProducts: false,
      hasColumns: false,
      hasSums: false,
      hasNarrowKernels: true,
    });
    const byName = new Map(nodes.map(node => [node.name, node]));
    const inputsOf = ({ input }: NodeDef): NodeDef[] =>
      input.filter(name => !name.startsWith('^')).map(name => valueFor(byName, elementAt(name.split(':'), 0)));
    const handles = nodes.filter(({ op }) => op === 'VarHandleOp');
    const onHost = new Set(handles.filter(({ device }) => device === HOST));
    expect([...onHost].length).toBe(program.places?.size);
    expect(program.variables.filter(({ name }) => /\.[mv]$/.test(name)).length).toBe(onHost.size);
    expect(nodes.filter(({ op, device }) => op === 'MatMul' && device === HOST)).toEqual([]);
    for (const node of nodes) {
      const used = inputsOf(node).filter(({ op }) => op === 'VarHandleOp');
      if (used.length > 0)
        expect(new Set(used.map(handle => onHost.has(handle))), `${node.op} ${node.name}`).toEqual(new Set([node.device === HOST]));
      // Operations that write to a variable's buffer through an alias run where the buffer is.
      if (node.op === 'InplaceUpdate') expect(inputsOf(node)[0]?.device).toBe(node.device);
    }
    expect(nodes.filter(({ op, device }) => op === 'Sqrt' && device === HOST).length).toBeGreaterThan(0);
  });

  describeWith('on TensorFlow', engine, missing, on =>
    test.each(cases)('$name: the numbers of the same formulas', async one => {
      const [here, there] = [await traceOn(on, one), await traceOn(on, one, fromGpu)];
      expectClose(there.losses, here.losses, 1e-3);
    }),
  );
});

describeWith('a run', moving, reason, () => {
  const task = makeTinyTask();
  afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
  const recipe = (...overrides: string[]) => {
    const text = task.text.replace('r: 8\n', 'ratio: 0.9\n');
    return recipeIn(text, { overrides: ['engine=tensorflow', 'max_steps=4', 'save_strategy="no"', ...overrides] });
  };
  const { context } = task;

  test('says where the state lies, and may change that when it continues', async () => {
    const whole = await runInProcess({ kind: 'train', recipe: recipe(), runDir: join(task.folder, 'whole'), context });
    const runDir = join(task.folder, 'parts');
    const first = await runInProcess({ kind: 'train', recipe: recipe('optimizer_offload=disk'), runDir, context }, stopAfter(2));
    const second = await runInProcess({ kind: 'resume', runDir, overrides: ['optimizer_offload=none'], context });
    expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
    expect(first.events).toContainEqual(
      expect.objectContaining({ type: 'log', message: expect.stringMatching(/kB of optimizer state are on disk/) }),
    );
  });

  test.each([
    ['tensorflow', 'host', /has no effect without a GPU/],
    ['portable', 'disk', /has no effect on the portable engine/],
  ])('%s, %s: nothing happens, and that is said', async (name, to, said) => {
    const runDir = join(task.folder, `${name} ${to}`);
    const settings = recipe(`engine=${name}`, `optimizer_offload=${to}`, 'max_steps=1');
    const { events } = await runInProcess({ kind: 'train', recipe: settings, runDir, context });
    expect(events).toContainEqual(expect.objectContaining({ type: 'log', message: expect.stringMatching(said) }));
  });
});
