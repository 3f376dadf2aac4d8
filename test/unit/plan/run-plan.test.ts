/** Tests that a run compiles what its estimate prices, program by program. */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { printSignature } from '../../../trainer/graph/print.ts';
import type { Program, Signature } from '../../../trainer/graph/program.ts';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { priceRun } from '../../../trainer/plan/memory/predict.ts';
import { planRun, type RunPlan } from '../../../trainer/plan/run-plan.ts';
import type { BatchShape } from '../../../trainer/train/task.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { evalSignature } from '../../../trainer/train/train-program.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const compiled: Program[] = [];

vi.mock('../../../trainer/engine/open-engine.ts', async original => {
  const module = await original<typeof import('../../../trainer/engine/open-engine.ts')>();
  const openEngine: typeof module.openEngine = async (...params) => {
    const engine = await module.openEngine(...params);
    const recording: Engine = {
      description: engine.description,
      compile: (program, options) => {
        compiled.push(program);
        return engine.compile(program, options);
      },
    };
    return recording;
  };
  return { ...module, openEngine };
});

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const recipe = task.recipe('engine=portable', 'max_steps=1', 'recompute=block', 'data.format=text', 'max_length=16');

/** Returns a digest of a program. */
const digestOf = (signature: Signature | undefined): string | undefined =>
  signature &&
  createHash('sha256')
    .update(printSignature('pass', signature, { steps: singleSteps }))
    .digest('hex');

/** Parses `train/4x16x60` to its shape. */
const shapesOf = (kind: 'train' | 'eval'): BatchShape[] =>
  Object.keys(ran).flatMap(name => {
    const [, batch, tokens, targets] = new RegExp(`^${kind}/(\\d+)x(\\d+)x(\\d+)$`).exec(name) ?? [];
    return batch === undefined ? [] : [{ batch: Number(batch), tokens: Number(tokens), targets: Number(targets) }];
  });

/** The programs that a run of the recipe compiled, by signature, without importance. */
let ran: Readonly<Record<string, Signature>>;
let plan: RunPlan;

beforeAll(async () => {
  await runInProcess({ kind: 'train', recipe, runDir: join(task.folder, 'run'), context: task.context });
  ran = compiled.find(({ signatures }) => Object.keys(signatures).some(name => name.startsWith('train/')))?.signatures ?? {};
  const headers = await readModelHeaders(join(task.folder, 'model'));
  const facts = { recipe, headers, on: { engine: 'portable', device: 'cpu' } } as const;
  // The data only determines the shapes of its batches.
  plan = planRun({ ...facts, data: { ...planRun(facts), trainShapes: shapesOf('train'), evalShapes: shapesOf('eval') } });
});

/** Returns the signatures from which a price was computed. */
function pricedSignatures(of: RunPlan): { readonly train: (string | undefined)[]; readonly evaluation: (string | undefined)[] } {
  const [train, evaluation]: (string | undefined)[][] = [[], []];
  priceRun({
    ...of,
    trainPass: (...params) => {
      const pass = of.trainPass(...params);
      train?.push(digestOf(pass.signature));
      return pass;
    },
    evalPass: (...params) => {
      const pass = of.evalPass(...params);
      evaluation?.push(digestOf(pass.signature));
      return pass;
    },
  });
  return { train: train ?? [], evaluation: evaluation ?? [] };
}

describe('a recipe and the headers of its model give', () => {
  test('the programs that the run compiles', () => {
    expect(Object.keys(ran).length).toBeGreaterThan(2);
    const planned = plan.program('block').signatures;
    expect(Object.keys(planned)).toEqual(Object.keys(ran));
    for (const name of Object.keys(ran)) expect(digestOf(planned[name]), name).toBe(digestOf(ran[name]));
  });

  test('the programs that the estimate prices', () => {
    const { train, evaluation } = pricedSignatures(plan);
    expect(train).toEqual(plan.trainShapes.map(shape => digestOf(ran[trainSignature(shape)])));
    expect(evaluation).toEqual(plan.evalShapes.map(shape => digestOf(ran[evalSignature(shape)])));
  });
});

test('an evaluation by itself compiles the run’s own program', async () => {
  const before = compiled.length;
  await runInProcess({ kind: 'evaluate', recipe, adapter: join(task.folder, 'run'), context: task.context });
  const [evaluated] = compiled.slice(before);
  const names = Object.keys(evaluated?.signatures ?? {});
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) expect(digestOf(evaluated?.signatures[name]), name).toBe(digestOf(ran[name]));
});
