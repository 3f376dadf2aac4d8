/** The worker process: takes one job from its parent, does it, tells how it went, ends. A job whose model is kept is followed by others like it. */

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
// Before an engine is loaded.
if (gpu) process.env.CUDA_VISIBLE_DEVICES = gpu.visible;
const channel = openChannel();
const newJob = (): Job => new Job(event => channel.send(event));
let job = newJob();
let begun = false;
/** Ends a process that waits for another job. */
let idle: NodeJS.Timeout | undefined;

/** To the parent that forked this process, or to the supervisor of its ranks. A parent that is gone hears nothing; the run folder has everything. */
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

/** Resolves when the event is on its way. */
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
    const { event, unexpected } = describeFailure(job.explain(error));
    const details = unexpected && error instanceof Error ? (error.stack ?? error.message) : event.message;
    job.note('error', details);
    // A job without a run folder has only its parent's log.
    if (unexpected) console.error(details);
    await sendLast(event);
    status = 1;
  }
  // Engines keep threads and timers of their own; nothing of ours is left to do.
  process.exit(status);
}

channel.onMessage(message => {
  if (begun) {
    // Whatever else is said to a job that works: it ends in order.
    const save = !(isRecord(message) && message.save === false);
    job.requestStop({ save, reason: STOPPED_BY_USER });
    return;
  }
  // A request to stop the last job came too late.
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
  // A second one: it has taken too long, and must not save any more. The first may come together with the request of a parent that got one too,
  // because Slurm and systemd send it to all processes.
  job.requestStop({ ...stop, save: stop.save && signals === 1 });
});
// The terminal sends it to everyone in the group; what it means is the parent's to say.
process.on('SIGINT', () => undefined);
