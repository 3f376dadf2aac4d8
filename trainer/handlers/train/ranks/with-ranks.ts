/** Connects a job with the other processes of its run. */
import { engineCatalog } from '../../../catalog/engines.ts';
import { namesWhere, orList } from '../../../catalog/entries.ts';
import { transportCatalog } from '../../../catalog/transports.ts';
import type { JobScope } from '../../../job/job-scope.ts';
import { openJobEngine } from '../../../job/open-base.ts';
import { Ranks } from '../../../job/ranks.ts';
import { messageOf } from '../../../protocol/error-facts.ts';
import type { Recipe } from '../../../protocol/recipe/recipe-schema.ts';
import { requireTypedCommand } from '../../../run/typed-command.ts';
import { RunError } from '../../../run-error.ts';

/**
 * Calls the work with `ranks` in its scope, if this process is one of several.
 * @throws RunError 'unsupported' if the engine runs in one process, 'rank-lost' if another rank has failed or is gone
 */
export async function withRanks<T>(
  scope: JobScope,
  { engine, process_transport: transport }: Pick<Recipe, 'engine' | 'process_transport'>,
  work: (scope: JobScope) => Promise<T>,
): Promise<T> {
  const { context, job } = scope;
  const { rank: place } = context;
  if (place === undefined) return work(scope);
  checkTransport(transport, context, job);
  const { join, description } = await openJobEngine(scope, engine);
  if (!join)
    throw new RunError(
      'unsupported',
      `the ${engineCatalog[description.name].label} engine trains in one process`,
      `Set engine: ${orList(namesWhere(engineCatalog, ({ transports }) => transports.length > 0))}`,
    );
  const { label, transports } = engineCatalog[description.name];
  if (!transports.includes(transport))
    throw new RunError(
      'unsupported',
      `the ${label} engine does not connect processes over ${transport}`,
      `Set process_transport: ${orList(transports)}`,
    );
  const connection = place.addresses === undefined ? place.library : `grpc:${place.rank},${place.addresses.join(',')}`;
  const group = join(connection);
  if (group.size !== place.size)
    throw new RunError(
      'mpi-missing',
      `the launcher started ${place.size} processes, but MPI (${place.library}) sees ${group.size}: they do not belong together`,
      'Start the processes with the mpirun of that library; under Slurm, try srun --mpi=pmi2 or --mpi=pmix',
    );
  const ranks = new Ranks(group, job);
  job.log('info', `rank ${group.rank} of ${group.size} (${place.localSize} on this machine), connected by ${connection}`);
  try {
    const value = await work({ ...scope, ranks });
    // The other ranks are in step: all have done the same.
    group.leave();
    return value;
  } catch (error) {
    const explained = ranks.explain(error);
    if (!(explained instanceof RunError && explained.code === 'rank-lost')) group.fail(messageOf(explained));
    throw explained;
  }
}

/**
 * Checks that the recipe names the transport that connects this process, and explains an open port.
 * @throws RunError 'unsupported' for ports that no user has requested
 */
function checkTransport(transport: Recipe['process_transport'], { rank, opensPorts }: JobScope['context'], job: JobScope['job']): void {
  const isOpen = transportCatalog[transport].opensPorts;
  if ((rank?.addresses !== undefined) !== isOpen)
    throw new RunError(
      'unsupported',
      isOpen
        ? `process_transport: ${transport} needs the addresses of all processes, and this launcher does not give them`
        : 'the launcher names addresses of processes, which MPI does not use',
      isOpen
        ? 'Start the processes with rowtune train --processes, with torchrun, or with TF_CONFIG'
        : `Start them with mpirun or srun; or set process_transport: ${orList(namesWhere(transportCatalog, ({ opensPorts }) => opensPorts))}, which opens a port in each`,
    );
  if (!isOpen) return;
  requireTypedCommand(transport, { opensPorts });
  const address = rank?.addresses?.[rank.rank] ?? '';
  job.log(
    'warning',
    `this process listens on port ${address.split(':').at(-1)} of all addresses of its machine, without asking for a password: whoever reaches it can run programs in it and read files`,
  );
}
