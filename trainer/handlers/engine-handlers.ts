/** The handlers of the jobs that run a model on an engine, or look for one. */
import { diagnose } from '../engine/doctor.ts';
import { sweepJob } from '../sweep/sweep-job.ts';
import { cardJob } from './card-memory.ts';
import { evaluateJob } from './evaluate-run.ts';
import type { EngineKind, Handlers } from './handler.ts';
import { importanceJob } from './importance-run.ts';
import { exportJob, generateJob } from './model-jobs.ts';
import { serveJob } from './serve-models.ts';
import { findRateJob } from './train/find-rate.ts';
import { resumeJob, trainJob } from './train/train-run.ts';
import { verifyJob } from './verify-run.ts';

export const engineHandlers: Handlers<EngineKind> = {
  train: trainJob,
  resume: resumeJob,
  sweep: sweepJob,
  'find-rate': findRateJob,
  importance: importanceJob,
  evaluate: evaluateJob,
  generate: generateJob,
  export: exportJob,
  serve: serveJob,
  verify: verifyJob,
  card: cardJob,
  doctor: ({ engine }, { context }) =>
    diagnose({
      requested: engine,
      fromEnvironment: context.engineFromEnvironment,
      cacheDir: context.cacheDir,
      clearedVariables: context.clearedVariables,
    }),
};
