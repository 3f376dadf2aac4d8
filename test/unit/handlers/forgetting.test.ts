/** Tests forgetting of a tuned language model: its loss on general text, and the divergence from its base. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { EvaluateResult } from '../../../trainer/handlers/evaluate-run.ts';
import { cardFacts } from '../../../trainer/handlers/export-card.ts';
import type { TrainResult } from '../../../trainer/handlers/train/train-run.ts';
import { required } from '../../../trainer/narrow.ts';
import { divergence } from '../../../trainer/objective/causal/forgetting.ts';
import { generalText } from '../../../trainer/objective/causal/general-text.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

const recipe = (...overrides: string[]) => task.recipe('engine=portable', 'max_steps=4', 'eval_forgetting=true', ...overrides);
const train = async (runDir: string, ...overrides: string[]): Promise<TrainResult> => {
  const request = { kind: 'train', recipe: recipe(...overrides), runDir: join(task.folder, runDir), context: task.context } as const;
  return (await runInProcess(request)).value;
};
const evaluate = async (adapter: string | undefined, ...overrides: string[]): Promise<EvaluateResult> =>
  (await runInProcess({ kind: 'evaluate', recipe: recipe(...overrides), adapter, context: task.context })).value;

describe('divergence', () => {
  test('is Σ p · ln(p / q) of the distributions', () => {
    const [p, q] = [
      [0.5, 0.25, 0.25],
      [0.25, 0.5, 0.25],
    ];
    const logits = (shares: readonly number[] = [], shift = 0): Float32Array => Float32Array.from(shares, share => Math.log(share) + shift);
    expect(divergence(logits(p), logits(q, 3))).toBeCloseTo(0.5 * Math.LN2 - 0.25 * Math.LN2, 6);
    expect(divergence(logits(p), logits(p, -7))).toBeCloseTo(0, 6);
  });

  test('ignores tokens that the base never predicts, and is infinite where only the tuned model never does', () => {
    const never = Number.NEGATIVE_INFINITY;
    expect(divergence(Float32Array.of(0, never), Float32Array.of(0, never))).toBe(0);
    expect(divergence(Float32Array.of(0, 0), Float32Array.of(0, never))).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a run that measures it', () => {
  test.each(['spsft', 'lora'])('%s: says the same at its end and in an evaluation', async method => {
    const { forgetting, before, after } = await train(method, `method=${method}`, 'learning_rate=0.02');
    expect(before && after).toBeTruthy();
    expect(forgetting?.tuned).not.toBe(forgetting?.base);
    expect(forgetting?.divergence).toBeGreaterThan(1e-4);
    const saved = readRecord(join(task.folder, method, 'summary.json'));
    expect(saved).toMatchObject({ state: 'finished', forgetting });
    const later = await evaluate(join(task.folder, method), `method=${method}`);
    expect(later.forgetting).toEqual(forgetting);
    const card = await cardFacts(join(task.folder, method));
    expect(card?.results).toContainEqual({ name: 'Loss on general text', before: forgetting?.base, after: forgetting?.tuned });
  });

  test('has not moved after updates of almost nothing', async () => {
    const { forgetting } = await train('still', 'method=spsft', 'learning_rate=1e-12');
    expect(forgetting?.tuned).toBeCloseTo(required(forgetting?.base, 'the loss of the base'), 6);
    expect(forgetting?.divergence).toBeCloseTo(0, 6);
  });

  test('reads the base as any evaluation does', async () => {
    writeFileSync(join(task.folder, 'general.jsonl'), generalText.map(text => `${JSON.stringify({ text: text.slice(0, 63) })}\n`).join(''));
    const alone = await evaluate(undefined, 'data.eval=general.jsonl', 'max_length=64', 'eval_forgetting=false');
    const { forgetting } = await evaluate(join(task.folder, 'spsft'), 'method=spsft');
    // A token is a character here, and the evaluation also reads the end of each text.
    expect(Math.abs((alone.loss ?? 0) - (forgetting?.base ?? 0))).toBeLessThan(0.05);
  });
});

test('a model alone has no forgetting', async () => {
  const { forgetting, loss } = await evaluate(undefined);
  expect(forgetting).toBeUndefined();
  expect(loss).toBeGreaterThan(0);
});
