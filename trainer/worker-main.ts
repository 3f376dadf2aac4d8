/**
 * The worker process: receives one job from its parent, runs it, reports the outcome, and ends. If the job's model is kept, similar jobs
 * follow.
 */

import process from 'node:process';
import { chooseRankGpu, countGpus } from './engine/mpi/rank-gpu.ts';
import { findWorld } from './engine/mpi/world.ts';
import { runJob } from './handlers/job-handlers.ts';
import { Job } from './job/job.ts';
import { isRecord } from './narrow.ts';
import { isJobRequest, keptSeconds, STOPPED_BY_USER, type WorkerEvent } from './protocol/messages/job-messages.ts';
import { type Channel, connectRank, RANK_SOCKET } from './ranks/rank-channel.ts';
import { describeFailure } from './run-error.ts';

const world = findWorld(process.env);
const gpu = world && chooseRankGpu(world, process.env, countGpus());
// Must be set before an engine is loaded.
if (gpu) process.env.CUDA_VISIBLE_DEVICES = gpu.visible;
const channel = openChannel();
const newJob = (): Job => new Job(event => channel.send(event));
let job = newJob();
let begun = false;
/** Timer that ends a process that waits for another job. */
let idle: NodeJS.Timeout | undefined;

/**
 * Opens the channel to the parent that forked this process, or to the supervisor of its ranks. If the parent is gone, messages are dropped;
 * the run folder has everything.
 */
function openChannel(): Channel {
  const socket = process.env[RANK_SOCKET];
  const { PMI_FD: launcherFile } = process.env;
  const hello = { rank: world?.rank ?? 0, pid: process.pid };
  if (socket !== undefined) return connectRank(socket, hello, launcherFile === undefined ? undefined : Number(launcherFile));
  return {
    send: (message, sent = () => undefined) => {
      if (process.connected && process.send) process.send(message, () => sent());
      else sent();
    },
    onMessage: listener => void process.on('message', listener),
    onEnd: listener => void process.on('disconnect', listener),
    close: () => process.disconnect(),
  };
}

/** Resolves when the event has been sent. */
const sendLast = (event: WorkerEvent): Promise<void> => new Promise(resolve => channel.send(event, resolve));

async function work(request: unknown): Promise<void> {
  let status = 0;
  try {
    if (!isJobRequest(request)) throw new TypeError('the first message to a worker must be its job');
    if (gpu) job.log('info', gpu.message);
    const value = await runJob(request, job);
    const seconds = keptSeconds(request);
    if (seconds > 0) {
      begun = false;
      job = newJob();
      idle = setTimeout(() => process.exit(0), seconds * 1000);
    }
    await sendLast({ type: 'result', value });
    if (seconds > 0) return;
  } catch (error) {
    const { event, unexpected } = describeFailure(job.explain(error), isJobRequest(request) ? request.kind : undefined);
    const details = unexpected && error instanceof Error ? (error.stack ?? error.message) : event.message;
    job.note('error', details);
    // A job without a run folder only has its parent's log.
    if (unexpected) console.error(details);
    await sendLast(event);
    status = 1;
  }
  // Engines keep their own threads and timers running; none of our work is left.
  process.exit(status);
}

channel.onMessage(message => {
  if (begun) {
    // Any other message to a working job makes it end in an orderly way.
    const save = !(isRecord(message) && message.save === false);
    job.requestStop({ save, reason: STOPPED_BY_USER });
    return;
  }
  // A request to stop the previous job came too late.
  if (idle !== undefined && !isJobRequest(message)) return;
  clearTimeout(idle);
  begun = true;
  void work(message);
});
channel.onEnd(() => {
  if (!begun) process.exit(1);
  job.requestStop({ save: true, reason: 'stopped because the process that started it has ended' });
});
let signals = 0;
process.on('SIGTERM', () => {
  signals++;
  const { stop = { save: true, reason: 'stopped by a signal (SIGTERM)' } } = job;
  // A second signal: saving has taken too long and must be abandoned. The first may come together with a request from a parent that also
  // got one, because Slurm and systemd send it to all processes.
  job.requestStop({ ...stop, save: stop.save && signals === 1 });
});
// The terminal sends SIGINT to the whole process group; the parent decides what it means.
process.on('SIGINT', () => undefined);
