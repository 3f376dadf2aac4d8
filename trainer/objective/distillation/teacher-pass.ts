/** One forward pass of the teacher over samples, which stores its most likely next tokens at each trained position. */
import { planBatches } from '../../data/batch/batch-plan.ts';
import { evalBatchSettings } from '../../data/batch/batch-settings.ts';
import { type TokenBatch, tokenSource } from '../../data/batch/batches.ts';
import { type TargetRun, targetRuns } from '../../data/batch/target-runs.ts';
import type { Examples } from '../../data/tokens/example-store.ts';
import type { Session } from '../../engine/engine.ts';
import type { PutBytes } from '../../format/safetensors/safetensors-writer.ts';
import { float32Of } from '../../graph/types.ts';
import { logHosted } from '../../job/log-hosted.ts';
import { sharedBatches } from '../../job/shared-batches.ts';
import { FLOAT32 } from '../../model/weight-storage.ts';
import { required } from '../../narrow.ts';
import { loadVariables, storedWeights } from '../../train/variables.ts';
import type { SetUpParams } from '../task-setup.ts';
import { untouchedIn } from '../untouched-in.ts';
import type { Teacher } from './open-teacher.ts';
import { TEACHER_TENSORS } from './teacher-file.ts';
import { HEAD, hiddenSignature, teacherProgram } from './teacher-program.ts';
import { findTopTokens, type TopTokens } from './top-tokens.ts';

/** Samples, and the output for the teacher's predictions on them. */
export interface TeacherSet {
  readonly examples: Examples;
  /** [samples + 1], the first position of each sample, and the end. */
  readonly starts: Float64Array;
  /** Writes the predictions; undefined except in the first process of a run. */
  readonly put: PutBytes | undefined;
}

export interface TeacherPassParams extends Pick<SetUpParams, 'base' | 'job' | 'precision' | 'ranks' | 'recipe'> {
  readonly teacher: Teacher;
  readonly padId: number;
}

/**
 * Runs the teacher. The hidden states of a batch's targets are computed first, then their logits chunk by chunk, so that the logits of a
 * whole batch are never in memory. The teacher's memory is freed afterwards. With several processes, each computes some of the batches, and
 * the first one stores all results.
 * @throws RunError 'stopped'
 */
export async function teacherPass(params: TeacherPassParams, sets: readonly TeacherSet[]): Promise<void> {
  const { base, job, precision = FLOAT32, ranks, recipe, teacher, padId } = params;
  const { model, folder, vocabulary } = teacher;
  const { top_k: k, temperature } = recipe.distillation;
  const plans = sets.map(({ examples }) => planBatches(examples.sizes, evalBatchSettings(recipe)));
  const shapes = plans.flatMap(({ buckets }) => buckets);
  const attachment = untouchedIn(model, precision, base.engine.hostFrom);
  logHosted(job, base.engine.description, model, attachment);
  const { program, chunk } = teacherProgram({ model, attachment, shapes, vocabulary, temperature });
  const session = await base.engine.compile({ ...program, places: attachment.hosted });
  try {
    await loadVariables(session, {
      model: storedWeights(model, folder.weights, attachment),
      attachment,
    });
    const report = job.progress(
      'teacher',
      plans.reduce((sum, { batchesPerEpoch }) => sum + batchesPerEpoch, 0),
      'batches',
    );
    let before = 0;
    for (const [i, set] of sets.entries()) {
      const plan = required(plans[i], 'the plan of the samples');
      const source = tokenSource({ plan, sequences: set.examples, padId: padId < model.vocabularySize ? padId : 0, packed: false });
      for await (const { batches, done } of sharedBatches(source, { ranks })) {
        job.checkStop();
        const [batch] = batches;
        const own = batch && (await taughtBatch(session, batch, set.starts, { chunk, k, vocabulary, features: model.hiddenSize }));
        for (const found of ranks ? ranks.all(own) : [own]) if (found && set.put) await store(set.put, found, k);
        report(before + done);
      }
      before += plan.batchesPerEpoch;
    }
  } finally {
    await session.dispose();
  }
}

interface ReadShape {
  readonly chunk: number;
  readonly vocabulary: number;
  readonly k: number;
  readonly features: number;
}

async function readBatch(session: Session, batch: TokenBatch, { chunk, k, vocabulary, features }: ReadShape): Promise<TopTokens> {
  const { ids, targetPositions, targetCount } = batch;
  const found = { ids: new Int32Array(targetCount * k), logs: new Float32Array(targetCount * k) };
  const { hidden } = await session.run(hiddenSignature(batch.bucket), { ids, targetPositions });
  const states = float32Of(required(hidden, 'the hidden states of the batch')).slice();
  for (let begin = 0; begin < targetCount; begin += chunk) {
    const some = new Float32Array(chunk * features);
    some.set(states.subarray(begin * features, (begin + chunk) * features));
    const outputs = await session.run(HEAD, { hidden: some });
    const logits = float32Of(required(outputs.logits, 'the logits'));
    const sums = float32Of(required(outputs.logSum, 'their sums'));
    for (let row = 0; row < Math.min(chunk, targetCount - begin); row++)
      findTopTokens(logits.subarray(row * vocabulary, (row + 1) * vocabulary), sums[row] as number, k, { into: found, place: begin + row });
  }
  return found;
}

/** The teacher's predictions for the targets of a batch, and the positions of their samples. */
interface TaughtBatch extends TopTokens {
  readonly targetIds: Int32Array;
  readonly runs: readonly TargetRun[];
}

const taughtBatch = async (session: Session, batch: TokenBatch, starts: Float64Array, shape: ReadShape): Promise<TaughtBatch> => ({
  ...(await readBatch(session, batch, shape)),
  targetIds: batch.targetIds,
  runs: [...targetRuns(batch, starts)],
});

async function store(put: PutBytes, { ids, logs, targetIds, runs }: TaughtBatch, k: number): Promise<void> {
  for (const { begin, first, count } of runs) {
    const end = begin + count;
    await put(TEACHER_TENSORS.ids, 4 * first * k, bytesOf(ids.subarray(begin * k, end * k)));
    await put(TEACHER_TENSORS.logs, 4 * first * k, bytesOf(logs.subarray(begin * k, end * k)));
    await put(TEACHER_TENSORS.targets, 4 * first, bytesOf(targetIds.subarray(begin, end)));
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
