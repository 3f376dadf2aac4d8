/** The study's work, in one process that TensorFlow's environment was set for: makes run after run, and keeps what each gave. */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { openModel } from '../trainer/hub/open-model.ts';
import { RunError } from '../trainer/run-error.ts';
import { readRequest } from './request.ts';
import { dataOf, type PartData, type StudySources } from './study-data.ts';
import { studyJobs } from './study-jobs.ts';
import {
  type Family,
  type PartName,
  type PartPlan,
  type PlannedRun,
  parts,
  planOf,
  testRuns,
  tunedWays,
  tuningRun,
  type Way,
  waysOf,
} from './study-plan.ts';
import { bestOf, nextRate } from './study-rates.ts';
import { earlierRuns, writeStudy } from './study-report.ts';
import type { StudyRun } from './study-results.ts';

/** The request that `scripts/bench-study.mjs` sends. */
interface StudyRequest extends StudySources {
  readonly cacheDir: string;
  readonly results: string;
  readonly threads: number;
  readonly parts: readonly PartName[];
  /** Continues a study of the same plan: runs in its results and finished bases are not made again. */
  readonly resume: boolean;
}

const request = readRequest<StudyRequest>();
const folder = path.join(request.cacheDir, 'study');
const jobs = studyJobs({ cacheDir: request.cacheDir, baseDir: folder, hub: { offline: true } });
const started = performance.now();
const minutes = (): number => (performance.now() - started) / 60_000;

/** Each run is written as soon as it is made. */
async function study(part: PartPlan): Promise<void> {
  const data = await dataOf(part, { folder, sources: request, jobs, keepBases: request.resume });
  const facts = { part: part.name, plan: planOf(part), base: await fingerprint(data.model) };
  const known = request.resume ? await earlierRuns(request.results, facts) : [];
  const runs: StudyRun[] = [];
  const result = () => ({ ...facts, runs, minutes: minutes() });
  const once = async (planned: PlannedRun): Promise<StudyRun> => {
    const run = known.find(earlier => isSame(earlier, planned)) ?? (await attempt(part, data, planned));
    runs.push(run);
    // Those that it has not come to yet are not lost where it is cut off.
    if (!known.includes(run))
      await writeStudy(request.results, { ...result(), runs: [...runs, ...known.filter(each => !runs.includes(each))] });
    return run;
  };
  const ways = waysOf(part);
  const tuned = new Map<Family, number>();
  for (const way of tunedWays(ways)) tuned.set(way.family, await tune(way, part.rates[way.family], once));
  for (const planned of testRuns(ways, tuned)) await once(planned);
  await writeStudy(request.results, result());
}

async function fingerprint(model: string): Promise<string> {
  const { weights } = await openModel(model);
  try {
    return await weights.fingerprint();
  } finally {
    await weights.close();
  }
}

async function tune(way: Way, start: number, once: (planned: PlannedRun) => Promise<StudyRun>): Promise<number> {
  const tried: StudyRun[] = [];
  for (let rate = nextRate(start, tried); rate !== undefined; rate = nextRate(start, tried)) tried.push(await once(tuningRun(way, rate)));
  return bestOf(tried)?.learningRate ?? start;
}

const isSame = (run: StudyRun, { purpose, way, learningRate, seed }: PlannedRun): boolean =>
  run.purpose === purpose && run.way === way.name && run.learningRate === learningRate && run.seed === seed;

async function attempt(part: PartPlan, data: PartData, planned: PlannedRun): Promise<StudyRun> {
  const { way, learningRate, seed, purpose } = planned;
  const run = await make(part, data, planned).catch((error: unknown): StudyRun => {
    if (!(error instanceof RunError) || error.code !== 'loss-diverged') throw error;
    const none = { before: 0, accuracy: 0, loss: Number.MAX_VALUE, trainable: 0, parameters: 0, steps: 0, samples: 0, seconds: 0 };
    return { part: part.name, purpose, way: way.name, family: way.family, learningRate, seed, ...none };
  });
  const result = `${(100 * run.accuracy).toFixed(1)}%, loss ${run.loss.toFixed(3)} (${run.seconds.toFixed(1)} s)`;
  jobs.say(`${minutes().toFixed(1)} min ${part.name} ${purpose} ${way.name} lr ${learningRate} seed ${seed}: ${result}`);
  return run;
}

async function make(part: PartPlan, data: PartData, { purpose, way, learningRate, seed }: PlannedRun): Promise<StudyRun> {
  const runDir = path.join(folder, `${part.name}-tuned`);
  await rm(runDir, { recursive: true, force: true });
  const began = performance.now();
  const result = await jobs.train(runDir, {
    ...part.settings,
    ...way.settings,
    model: data.model,
    'data.train': data.train,
    'data.eval': purpose === 'tune' ? data.validation : data.test,
    learning_rate: learningRate,
    warmup_ratio: 0.1,
    eval_strategy: 'no',
    save_strategy: 'no',
    logging_steps: 10,
    recompute: 'none',
    threads: request.threads,
    seed,
  });
  await rm(runDir, { recursive: true, force: true });
  return {
    part: part.name,
    purpose,
    way: way.name,
    family: way.family,
    learningRate,
    seed,
    before: result.before?.labels?.accuracy ?? Number.NaN,
    accuracy: result.after?.labels?.accuracy ?? Number.NaN,
    loss: result.after?.loss ?? Number.NaN,
    trainable: result.trainable,
    parameters: Math.round(result.trainable / result.trainableShare),
    steps: result.steps,
    samples: result.after?.samples ?? 0,
    seconds: (performance.now() - began) / 1000,
  };
}

await mkdir(folder, { recursive: true });
for (const part of parts.filter(({ name }) => request.parts.includes(name))) await study(part);
process.exit(0);
