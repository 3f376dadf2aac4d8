/** A command that mpirun, srun or another launcher has started several times: each is one process of the same run. */
import os from 'node:os';
import { findMpiLibrary } from '../engine/mpi/find-mpi.ts';
import { findWorld } from '../engine/mpi/world.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { RankPlace, WorkerEvent } from '../protocol/messages/job-messages.ts';
import { CliError } from './cli-error.ts';
import type { CommandContext } from './command.ts';

/** Says what was found. @throws CliError if the launcher and MPI do not fit; undefined for a command that runs alone */
export function launchedRank({ settings, terminal }: Pick<CommandContext, 'settings' | 'terminal'>): RankPlace | undefined {
  const world = findWorld(process.env);
  if (!world) return undefined;
  const { rank, size, localSize, launcher, mpi, addresses } = world;
  if (mpi === undefined && addresses !== undefined) {
    if (rank === 0) terminal.say('info', `${size} processes of ${launcher}: ${addresses.join(', ')}`);
    return { rank, size, localSize, library: '', addresses };
  }
  try {
    const library = findMpiLibrary(world, settings.cacheDir, process.env);
    if (rank === 0) terminal.say('info', `${launcher} started ${size} processes, ${localSize} on this machine; MPI library: ${library}`);
    return { rank, size, localSize, library };
  } catch (error) {
    throw new CliError(messageOf(error), { code: 'mpi-missing' });
  }
}

/** The processes of a machine share its cores. */
export const rankThreads = (threads: number, { localSize }: RankPlace): number =>
  threads || Math.max(1, Math.floor(os.availableParallelism() / localSize));

/** Only the first rank reports; the others' warnings and progress are in their own logs. */
export const isHiddenOfRank = ({ type }: WorkerEvent, { rank }: RankPlace): boolean => rank > 0 && type !== 'failed';
