/**
 * The parent of a run with several processes on this machine: starts them, forwards the reports of rank 0, and ends all processes when one
 * fails.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type TransportName, transportCatalog } from '../catalog/transports.ts';
import { findMpi } from '../engine/mpi/find-mpi.ts';
import type { Job } from '../job/job.ts';
import type { JobRequest, WorkerCommand } from '../protocol/messages/job-messages.ts';
import { RunError } from '../run-error.ts';
import { readWorkerEvent } from '../worker/worker-events.ts';
import { freeAddresses, launchRanks, startRanks } from './launch.ts';
import { channelOver } from './rank-channel.ts';
import { RankTable } from './rank-table.ts';

export interface SuperviseParams {
  readonly request: Extract<JobRequest, { kind: 'train' | 'resume' }>;
  readonly job: Job;
  readonly processes: number;
  /** Threads per operation in each process; 0 divides the cores among the processes. */
  readonly threads: number;
  readonly transport: TransportName;
  readonly environment: NodeJS.ProcessEnv;
}

/** Time from the last result to the end of all processes. */
const END_MS = 10_000;
const POLL_MS = 200;
const KEPT_LINES = 40;

/**
 * Resolves with the result of the run.
 * @throws EngineError without MPI; RunError with the reason of the rank that failed first, 'rank-lost' if one ended without giving a reason
 */
export async function superviseRanks(params: SuperviseParams): Promise<unknown> {
  const { job, processes, request, environment } = params;
  const addresses = transportCatalog[params.transport].opensPorts ? await freeAddresses(processes) : undefined;
  const mpi = addresses === undefined ? findMpi(request.context.cacheDir, environment) : undefined;
  const threads = params.threads || Math.max(1, Math.floor((request.context.cores ?? os.availableParallelism()) / processes));
  job.log(
    'info',
    `${processes} processes with ${threads} thread${threads === 1 ? '' : 's'} each, ${mpi === undefined ? `connected by ${transportCatalog[params.transport].label}` : `started by ${mpi.launcher}`}`,
  );
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-ranks-'));
  const socket = path.join(folder, 'socket');
  const ranks = new RankTable(processes);
  const place = { size: processes, localSize: processes, library: mpi?.library ?? '', ...(addresses && { addresses }) };
  const requestOf = (rank: number): JobRequest => ({ ...request, context: { ...request.context, rank: { ...place, rank } } });
  const server = net.createServer(connection => welcome(connection, ranks, job, requestOf));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socket, resolve));
  const addLine = (line: string): void => {
    ranks.lines.push(line);
    if (ranks.lines.length > KEPT_LINES) ranks.lines.shift();
  };
  const launch = { processes, threads, socket, environment };
  const launcher = mpi === undefined ? startRanks(launch, addLine) : launchRanks({ ...launch, mpi }, addLine);
  void launcher.ended.then(() => ranks.launcherEnded());
  const passing = setInterval(passStops(ranks, job), POLL_MS);
  try {
    const value = await ranks.outcome;
    await Promise.race([launcher.ended, delay(END_MS, undefined, { ref: false })]);
    return value;
  } catch (error) {
    throw job.stop?.save === false ? new RunError('stopped', job.stop.reason) : error;
  } finally {
    clearInterval(passing);
    ranks.killAll();
    await ranks.ended(END_MS);
    ranks.close();
    launcher.kill();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Identifies the rank of a new connection, sends its request, and forwards its messages until it ends. */
function welcome(connection: net.Socket, ranks: RankTable, job: Job, requestOf: (rank: number) => JobRequest): void {
  const channel = channelOver(connection);
  let rank: number | undefined;
  channel.onMessage(message => {
    if (rank === undefined) {
      rank = ranks.greet(message, channel);
      if (rank !== undefined) channel.send(requestOf(rank));
      return;
    }
    const event = readWorkerEvent(message);
    if (event?.type === 'result' || event?.type === 'failed') ranks.end(rank, event);
    else if (event && rank === 0) job.emit(event);
  });
  channel.onEnd(() => rank !== undefined && ranks.leave(rank));
}

/** Returns a function that forwards stop requests to all ranks. */
function passStops(ranks: RankTable, job: Job): () => void {
  let sent: boolean | undefined;
  return () => {
    const { stop } = job;
    if (!stop || sent === stop.save) return;
    sent = stop.save;
    ranks.tell({ type: 'stop', save: stop.save } satisfies WorkerCommand);
    // A run that is not saved need not end in an orderly way.
    if (!stop.save) ranks.killAll();
  };
}
