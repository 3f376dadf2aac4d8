/** Compares a run that is stopped and resumed with one that is not. */
import { join } from 'node:path';
import { expect } from 'vitest';
import type { TrainResult } from '../../../trainer/handlers/train/train-run.ts';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import { type InProcess, runInProcess, stopAfter, type TrainRun } from './run-in-process.ts';

export interface StoppedRunParams {
  /** The folder in which `train` creates its runs. */
  readonly folder: string;
  readonly context: JobContext;
  readonly train: TrainRun;
  /** The name; the runs are `NAME whole` and `NAME parts`. */
  readonly name: string;
  readonly settings: readonly string[];
  /** The step after which the first part stops. */
  readonly step: number;
  readonly beforeResume?: () => void;
}

/** Expects the losses and the last metrics of both runs to be equal bit for bit. */
export async function expectSameWhenStopped(params: StoppedRunParams): Promise<{
  readonly whole: InProcess<TrainResult>;
  /** The second part. */
  readonly rest: InProcess<TrainResult>;
}> {
  const { folder, context, train, name, settings, step, beforeResume = () => undefined } = params;
  const parts = `${name} parts`;
  const whole = await train(`${name} whole`, settings);
  const first = await train(parts, settings, stopAfter(step));
  expect(first.value).toMatchObject({ state: 'stopped', steps: step });
  beforeResume();
  const rest = await runInProcess({ kind: 'resume', runDir: join(folder, parts), overrides: [], context });
  expect(new Map([...first.losses, ...rest.losses])).toEqual(whole.losses);
  expect(rest.value.after?.measures).toEqual(whole.value.after?.measures);
  return { whole, rest };
}
