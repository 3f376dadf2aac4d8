/** A worker of the study: prepares tasks and runs them one after the other, in a process with TensorFlow's environment. */
import { readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { TrainResult } from '../../trainer/handlers/train/train-run.ts';
import type { Evaluation } from '../../trainer/job/evaluate.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import { RunError } from '../../trainer/run-error.ts';
import { readRequest } from '../request.ts';
import { dataOf, type TaskData } from './data.ts';
import { type StudyJobs, studyJobs } from './jobs.ts';
import { busySeconds, isBeside } from './machine-load.ts';
import type { WorkAnswer, WorkerSetup, WorkRequest } from './messages.ts';
import { type PlannedRun, planOf, settingsOf } from './plan.ts';
import type { StudyRow } from './rows.ts';

const setup = readRequest<WorkerSetup>();
const jobs: StudyJobs = studyJobs({ cacheDir: setup.cacheDir, baseDir: setup.folder, hub: { offline: true } });

async function answer(request: WorkRequest): Promise<WorkAnswer> {
  if (request.kind === 'prepare') return { kind: 'prepare', result: await dataOf(request.task, { ...setup, jobs }) };
  return { kind: 'run', result: await makeRun(request.run, request.data) };
}

async function makeRun(run: PlannedRun, data: TaskData): Promise<StudyRow> {
  const runDir = path.join(setup.folder, `run-${process.pid}`);
  await rm(runDir, { recursive: true, force: true });
  const began = performance.now();
  const processor = process.cpuUsage();
  const busyBefore = busySeconds();
  const trained = await train(run, data, runDir);
  const memoryBytes = trained && (await predictedMemory(runDir));
  await rm(runDir, { recursive: true, force: true });
  const { user, system } = process.cpuUsage(processor);
  const [own, seconds] = [(user + system) / 1e6, (performance.now() - began) / 1000];
  const others = busySeconds() - busyBefore - own;
  const { task, arm, purpose, learningRate, seed } = run;
  return {
    task: task.name,
    plan: planOf(task, arm),
    base: data.base,
    arm,
    purpose,
    learningRate,
    seed,
    ...factsOf(trained),
    memoryBytes,
    cpuSeconds: Number(own.toFixed(2)),
    seconds: Number(seconds.toFixed(2)),
    ...(isBeside({ others, seconds, siblings: (setup.workers - 1) * setup.threads }) && { beside: true }),
    threads: setup.threads,
    machine: `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${os.cpus().length} cores`,
    date: new Date().toISOString(),
  };
}

/** @returns undefined if the loss diverged, which is a valid result; any other failure ends the study */
async function train(run: PlannedRun, data: TaskData, runDir: string): Promise<TrainResult | undefined> {
  const settings = {
    ...settingsOf(run),
    model: data.model,
    'data.train': data.train,
    'data.eval': run.purpose === 'tune' ? data.validation : data.test,
    threads: setup.threads,
  };
  try {
    return await jobs.train(runDir, settings);
  } catch (error) {
    if (error instanceof RunError && error.code === 'loss-diverged') return undefined;
    throw error;
  }
}

function factsOf(trained: TrainResult | undefined) {
  if (trained === undefined) return { trainable: 0, parameters: 0, steps: 0, samples: 0 };
  return {
    result: resultOf(trained.after),
    before: resultOf(trained.before),
    trainable: trained.trainable,
    parameters: Math.round(trained.trainable / trained.trainableShare),
    steps: trained.steps,
    samples: trained.after?.samples ?? 0,
    forgetting: forgottenBy(trained),
  };
}

const forgottenBy = ({ forgetting: found }: TrainResult): StudyRow['forgetting'] =>
  found && { loss: found.tuned - found.base, divergence: found.divergence };

const memorySchema = z.object({
  predicted: z.object({ trainedBytes: z.number(), gradientBytes: z.number(), optimizerBytes: z.number(), activationBytes: z.number() }),
});

/** Predicted rather than measured, because the heap of a process that made other runs says little about a single one. */
async function predictedMemory(runDir: string): Promise<number> {
  const { predicted } = memorySchema.parse(JSON.parse(await readFile(path.join(runDir, RUN_FILES.memory), 'utf8')));
  return predicted.trainedBytes + predicted.gradientBytes + predicted.optimizerBytes + predicted.activationBytes;
}

const resultOf = (found: Evaluation | null): StudyRow['result'] =>
  found === null ? undefined : { loss: found.loss, accuracy: found.labels?.accuracy ?? found.measures?.exact_match };

async function reply(request: WorkRequest): Promise<void> {
  const sent = await answer(request).catch((error: unknown): WorkAnswer => ({ kind: 'failed', message: messageOf(error) }));
  process.send?.(sent);
}

process.on('message', (request: WorkRequest) => void reply(request));
// If the study was killed, nothing receives the worker's answers.
process.once('disconnect', () => process.exit());
