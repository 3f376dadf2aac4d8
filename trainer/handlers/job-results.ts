/** The result of each kind of job, and its schema for results that another process or an earlier run sends as JSON. */
import { z } from 'zod';
import type { ExportResult } from '../artifact/export-model.ts';
import type { Diagnosis } from '../engine/doctor.ts';
import type { JobKind } from '../protocol/messages/job-messages.ts';
import type { DataResult } from '../protocol/view/data.ts';
import type { SweepResult } from '../sweep/sweep-job.ts';
import type { CardResult } from './card-memory.ts';
import type { ChatResult } from './chat-facts.ts';
import type { EvaluateResult } from './evaluate-run.ts';
import type { GenerateResult } from './generate-result.ts';
import type { ImportanceResult } from './importance-run.ts';
import type { FindRateResult } from './train/find-rate.ts';
import type { TrainResult } from './train/train-result.ts';
import type { VerifyResult } from './verify-run.ts';

export interface JobResults {
  train: TrainResult;
  resume: TrainResult;
  sweep: SweepResult;
  'find-rate': FindRateResult;
  importance: ImportanceResult;
  evaluate: EvaluateResult;
  generate: GenerateResult;
  export: ExportResult;
  chat: ChatResult;
  serve: { readonly requests: number };
  data: DataResult;
  verify: VerifyResult;
  card: CardResult;
  doctor: Diagnosis;
}

const text = z.string();
/** JSON has no NaN and no infinity: both become null. */
const number = z.number().nullable();
const list = z.array(z.unknown());
const samplePage = z.looseObject({ part: text, samples: list, columns: list, more: z.boolean() });

/** Summaries of older runs lack newer fields. */
const training = z.looseObject({ state: z.enum(['finished', 'stopped']), runDir: text, steps: z.number(), trainable: z.number() });

const schemas: { readonly [Kind in JobKind]: z.ZodType } = {
  train: training,
  resume: training,
  sweep: z.looseObject({ sweepDir: text, name: text, state: text, metric: text, runs: list }),
  'find-rate': z.looseObject({ points: list, diverged: z.boolean(), engine: text }),
  importance: z.looseObject({ outputFile: text, modules: z.number(), rows: z.number(), engine: text }),
  evaluate: z.looseObject({ model: text, engine: text, loss: number.optional() }),
  generate: z.looseObject({ text, ids: list, promptTokens: z.number(), engine: text }),
  export: z.looseObject({ format: text, outputDir: text, bytes: z.number(), files: list, commands: z.record(text, text).optional() }),
  chat: z.looseObject({
    family: text,
    positions: z.number(),
    callsTools: z.boolean(),
    readsImages: z.boolean(),
    tokens: z.array(z.number()),
  }),
  serve: z.looseObject({ requests: z.number() }),
  data: z.looseObject({ page: samplePage, statistics: z.looseObject({ parts: list }).optional() }),
  verify: z.looseObject({ ok: z.boolean(), engine: text, checks: z.array(z.looseObject({ name: text, error: number, ok: z.boolean() })) }),
  card: z.looseObject({ compiler: text, totalBytes: z.number(), arguments: z.number(), aliased: z.number(), temporaries: z.number() }),
  doctor: z.looseObject({ node: text, platform: text, machine: z.looseObject({}), problems: list, installedEngines: list }),
};

/** True if JSON has the form of the result of this kind of job. */
export const isResultOf = <Kind extends JobKind>(kind: Kind, value: unknown): value is JobResults[Kind] =>
  schemas[kind].safeParse(value).success;
