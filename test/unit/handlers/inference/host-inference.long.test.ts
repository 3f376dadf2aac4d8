/**
 * Tests jobs that read a model with weights in host memory: numbers and text equal those of jobs without offloading, on the plugin for
 * processors.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { GenerateOptions } from '../../../../trainer/protocol/messages/job-messages.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { engineNamed, openAllOthers } from '../../../support/engines.ts';
import { pairRuns } from '../../../support/runs/pair-runs.ts';
import { runInProcess, trainRunsIn } from '../../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const { engine: pjrt, missing } = engineNamed(await openAllOthers(), 'pjrt');
const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const lines = (records: readonly object[]): string => records.map(record => `${JSON.stringify(record)}\n`).join('');
const prompts = Array.from({ length: 8 }, (_, i) => ({ prompt: `Q${i}: `, completion: '[1]' }));
writeFileSync(join(task.folder, 'texts.jsonl'), lines(prompts));

const SMALL = ['engine=pjrt', 'dtype=float32', 'recompute=block', 'max_steps=2', 'save_strategy="no"', 'importance.measure=magnitude'];
const HOST = 'base_offload=host';
const recipe = (...overrides: string[]) =>
  task.recipe(
    ...SMALL,
    'data.train=texts.jsonl',
    'data.eval=[]',
    'val_size=4',
    'eval_generation.checks=[exact_match]',
    'eval_generation.max_new_tokens=4',
    ...overrides,
  );
const SAID = expect.objectContaining({
  type: 'log',
  message: expect.stringMatching(/saves no memory without a GPU: .* of weights are in host memory in any case/),
});
const train = trainRunsIn(task.folder, context, recipe);
/** Returns a context with a separate cache, except for engines and compiled programs, so that no run finds another's results. */
function contextOf(name: string): typeof context {
  const own = join(task.folder, `cache of ${name}`);
  mkdirSync(own);
  for (const shared of ['engines', 'programs'])
    if (existsSync(join(context.cacheDir, shared))) symlinkSync(join(context.cacheDir, shared), join(own, shared), 'junction');
  return { ...context, cacheDir: own };
}
const greedy = { chat: false, maxNewTokens: 6, temperature: 0, topP: 1, topK: 0, seed: 1 };

describeWith('weights in the memory of the host', pjrt, missing, () => {
  test.each(['trains=rows', 'trains=columns', 'method=lora'])(
    'give a run its evaluations and answers, and those of later jobs: %s',
    async method => {
      const [there, here] = [await train(`${method} there`, [method, HOST]), await train(`${method} here`, [method])];
      expect(there.losses).toEqual(here.losses);
      expect(there.value.before?.answers).toEqual(here.value.before?.answers);
      expect(there.value.after).toMatchObject({ loss: here.value.after?.loss, measures: here.value.after?.measures });

      const adapter = join(task.folder, `${method} there`);
      const evaluated = (...overrides: string[]) =>
        runInProcess({ kind: 'evaluate', recipe: recipe(method, ...overrides), adapter, context });
      const [first, second] = [await evaluated(HOST), await evaluated()];
      expect(first.value).toMatchObject({ loss: second.value.loss, answers: second.value.answers });
      expect(first.events).toContainEqual(SAID);
      expect(second.events).not.toContainEqual(SAID);

      const generated = (options: Pick<GenerateOptions, 'engine' | 'baseOffload'>) =>
        runInProcess({
          kind: 'generate',
          model: 'model',
          revision: 'main',
          adapter,
          prompt: 'lunch at 7:',
          options: { ...greedy, ...options },
          context,
        });
      const asInRun = await generated({ engine: 'auto' });
      expect(asInRun.events).toContainEqual(
        expect.objectContaining({ type: 'log', message: 'engine: pjrt and base_offload: host, as in the run' }),
      );
      expect(asInRun.value.ids).toHaveLength(greedy.maxNewTokens);
      expect(asInRun.value.ids).toEqual((await generated({ engine: 'pjrt', baseOffload: 'none' })).value.ids);
    },
  );

  test('give a student what its teacher says', async () => {
    const distill = (name: string, ...overrides: string[]) => {
      const student = trainRunsIn(task.folder, contextOf(name), recipe);
      const alone = ['data.eval=[]', 'val_size=0', 'eval_generation.checks=[]'];
      return student(name, ['task=distillation', 'distillation.teacher=model', ...alone, ...overrides]);
    };
    const [there, here] = [await distill('taught there', HOST), await distill('taught here')];
    expect(there.losses).toEqual(here.losses);
    expect(there.events).toContainEqual(SAID);
  });

  test('give answers the rewards of a reward model', async () => {
    await pairRuns(task, 'reward', context).train('rewards', ['engine=portable', 'max_steps=2', 'save_strategy=epoch']);
    const judged = (name: string, ...overrides: string[]) =>
      train(name, ['eval_generation.checks=[]', 'eval_generation.reward_model=rewards', ...overrides]);
    const [there, here] = [await judged('judged there', HOST), await judged('judged here')];
    expect(here.value.after?.measures).toMatchObject({ reward: expect.any(Number) });
    expect(there.value.after?.measures).toEqual(here.value.after?.measures);
    expect(there.value.after?.answers).toEqual(here.value.after?.answers);
    expect(there.events.filter(event => SAID.asymmetricMatch(event)).length).toBeGreaterThan(0);
  });

  test.each(['cached', 'live'])('give preferences the base: %s', async reference => {
    const tuned = (name: string, ...overrides: string[]) =>
      pairRuns(task, 'dpo', contextOf(`${reference} ${name}`)).train(`${reference} ${name}`, [
        ...SMALL,
        'trains=columns',
        `preference.reference=${reference}`,
        ...overrides,
      ]);
    const [there, here] = [await tuned('there', HOST), await tuned('here')];
    expect(there.losses).toEqual(here.losses);
    expect(there.value.after?.loss).toBe(here.value.after?.loss);
    expect(there.events).toContainEqual(SAID);
  });

  test('are refused by name on an engine that keeps all weights on the device', async () => {
    const options = { ...greedy, engine: 'portable', baseOffload: 'host' } as const;
    await expect(runInProcess({ kind: 'generate', model: 'model', revision: 'main', prompt: 'x', options, context })).rejects.toMatchObject(
      {
        code: 'unsupported',
        message: expect.stringMatching(/^base_offload: host is not possible: the .* engine keeps all weights/),
        hint: 'Choose the engine pjrt, or base_offload: none',
      },
    );
  });
});
