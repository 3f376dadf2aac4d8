/** The job 'verify': compares a model folder with the reference numbers in it. */
import path from 'node:path';
import { openModel } from '../hub/open-model.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openJobEngine } from '../job/open-base.ts';
import { loadModel } from '../model/load-model.ts';
import { weightStream } from '../model/weight-stream.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import { imageSizeOf, readGolden } from '../verify/golden.ts';
import { type Check, verifyModel, verifyProgram } from '../verify/verify-model.ts';

export interface VerifyResult {
  readonly ok: boolean;
  readonly engine: string;
  readonly checks: readonly Check[];
}

export async function verifyJob(
  { modelDir, engine: requested }: Extract<JobRequest, { kind: 'verify' }>,
  scope: JobScope,
): Promise<VerifyResult> {
  scope.job.phase('verify', `comparing ${modelDir} with its reference numbers`);
  const golden = await readGolden(path.join(modelDir, 'golden.json'));
  const folder = await openModel(modelDir);
  try {
    const model = loadModel(folder.config, { imageSize: imageSizeOf(golden) });
    const engine = await openJobEngine(scope, requested);
    const session = await engine.compile(verifyProgram(model, golden));
    try {
      await session.load(weightStream(model, folder.weights));
      const checks = await verifyModel(session, model, golden);
      return { ok: checks.every(({ ok }) => ok), engine: engine.description.summary, checks };
    } finally {
      await session.dispose();
    }
  } finally {
    await folder.weights.close();
  }
}
