/** The note about a head that the base model does not have. It is true of a training, an evaluation and a preview. */
import { andList } from '../catalog/entries.ts';
import type { RecipeScope } from '../job/job-scope.ts';
import type { ClassifierModel } from '../model/model-spec.ts';

/** Logs that a head is new, with the tensors that the base model lacks. */
export function logNewHead(job: Pick<RecipeScope['job'], 'log'>, { labels, parameters }: ClassifierModel): void {
  const fresh = parameters.filter(({ initial }) => initial).map(({ name }) => name);
  if (fresh.length === 0) return;
  const outputs = labels.length === 1 ? 'one output' : `${labels.length} outputs`;
  job.log('info', `the head of ${outputs} is new: the base model lacks ${andList(fresh)}`);
}
