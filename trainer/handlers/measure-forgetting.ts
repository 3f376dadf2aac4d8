/** Measures forgetting: evaluates the base and the tuned model on general text, one after the other. */
import type { Adapter } from '../adapter/adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import type { RecipeScope } from '../job/job-scope.ts';
import { type Base, withTokenizer } from '../job/open-base.ts';
import { padIdOf } from '../job/pad-id.ts';
import { requireCausal } from '../objective/benchmarks.ts';
import { causalTask } from '../objective/causal/causal-task.ts';
import { type Forgetting, forgettingOf, generalTextSource, readGeneralText } from '../objective/causal/forgetting.ts';
import { withAdapted } from './adapted-session.ts';
import { withChosenType } from './chosen-type.ts';

/** @throws RunError 'wrong-task', 'stopped'; AdapterError */
export async function measureForgetting(
  { job, recipe }: Pick<RecipeScope, 'job' | 'recipe'>,
  base: Base,
  adapter: Adapter,
): Promise<Forgetting> {
  const text = await withTokenizer({ ...base, model: requireCausal(base.model) });
  const { tokenizer, model } = text;
  const source = generalTextSource({
    tokenizer,
    batchSize: recipe.per_device_eval_batch_size,
    maxPositions: model.maxPositions,
    padId: padIdOf(text),
  });
  const task = causalTask(model, { probes: true });
  const read = (of: Adapter | undefined, name: string) =>
    withAdapted({ job, base, task, adapter: of, recipe, shapes: source.plan.buckets }, session => {
      job.phase('evaluate', `evaluating the ${name} model on general text`);
      return readGeneralText(session, source, job);
    });
  return forgettingOf(await read(undefined, 'base'), await read(adapter, 'tuned'));
}

/** Measures the forgetting of a run from its checkpoint. @throws RunError 'checkpoint-damaged', 'stopped'; AdapterError */
export async function forgettingOfRun(
  { job, recipe }: Pick<RecipeScope, 'job' | 'recipe'>,
  base: Base,
  checkpoint: string,
): Promise<Forgetting> {
  const adapter = await readAdapter(checkpoint);
  try {
    return await measureForgetting({ job, recipe: await withChosenType(recipe, adapter) }, base, adapter);
  } finally {
    await adapter.close();
  }
}
