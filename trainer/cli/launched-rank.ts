/** Detects a command that mpirun, srun or another launcher has started several times: each is one process of the same run. */
import os from 'node:os';
import { findMpiLibrary } from '../engine/mpi/find-mpi.ts';
import { findWorld } from '../engine/mpi/world.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { RankPlace, WorkerEvent } from '../protocol/messages/job-messages.ts';
import { CliError } from './cli-error.ts';
import type { CommandContext } from './command.ts';

/**
 * Returns this process's rank and reports what was detected; undefined for a command that runs alone.
 * @throws CliError if the launcher and MPI do not match
 */
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

/** The number of threads; by default, the processes of a machine share its cores. */
export const rankThreads = (threads: number, { localSize }: RankPlace): number =>
  threads || Math.max(1, Math.floor(os.availableParallelism() / localSize));

/** True for events that are not shown: only the first rank reports; warnings and progress of the others are in their own logs. */
export const isHiddenOfRank = ({ type }: WorkerEvent, { rank }: RankPlace): boolean => rank > 0 && type !== 'failed';
