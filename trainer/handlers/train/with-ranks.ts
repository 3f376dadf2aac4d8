/** Joins the other processes of a run for the time of a job. */
import { engineCatalog } from '../../catalog/engines.ts';
import type { JobScope } from '../../job/job-scope.ts';
import { openJobEngine } from '../../job/open-base.ts';
import { Ranks } from '../../job/ranks.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { RunError } from '../../run-error.ts';

/**
 * Does the work with `ranks` in its scope, if this process is one of several.
 * @throws RunError 'unsupported' if the engine runs in one process, 'rank-lost' if another rank has failed or is gone
 */
export async function withRanks<T>(scope: JobScope, engine: Recipe['engine'], work: (scope: JobScope) => Promise<T>): Promise<T> {
  const { context, job } = scope;
  const { rank: place } = context;
  if (place === undefined) return work(scope);
  const { join, description } = await openJobEngine(scope, engine);
  if (!join)
    throw new RunError(
      'unsupported',
      `the ${engineCatalog[description.name].label} engine trains in one process`,
      'Set engine: tensorflow',
    );
  const group = join(place.library);
  if (group.size !== place.size)
    throw new RunError(
      'mpi-missing',
      `the launcher started ${place.size} processes, but MPI (${place.library}) sees ${group.size}: they do not belong together`,
      'Start the processes with the mpirun of that library; under Slurm, try srun --mpi=pmi2 or --mpi=pmix',
    );
  const ranks = new Ranks(group, job);
  job.log('info', `rank ${group.rank} of ${group.size} (${place.localSize} on this machine), connected by ${place.library}`);
  try {
    const value = await work({ ...scope, ranks });
    // The others are in time: all have done the same.
    group.leave();
    return value;
  } catch (error) {
    const explained = ranks.explain(error);
    if (!(explained instanceof RunError && explained.code === 'rank-lost')) group.fail(messageOf(explained));
    throw explained;
  }
}
