/** Scores the answers of a sample before and after tuning, for trying out a run on preferences. */
import type { Adapter } from '../../adapter/adapter.ts';
import { checkBase } from '../../adapter/check-adapter.ts';
import { readAdapter } from '../../adapter/read-adapter.ts';
import { countTargets, type TokenSequence } from '../../data/types.ts';
import { GenerateError } from '../../generate/decoder.ts';
import type { JobScope } from '../../job/job-scope.ts';
import { openBase } from '../../job/open-base.ts';
import { withDataFiles } from '../../job/open-data.ts';
import { elementAt } from '../../narrow.ts';
import { type OpenedAnswers, openAnswers, type SampleAnswer } from '../../objective/answers/open-answers.ts';
import type { JobRequest } from '../../protocol/messages/job-messages.ts';
import { compact } from '../../protocol/text/format.ts';
import type { ComparedSample } from '../../protocol/view/compared-sample.ts';
import { readRunRecipe } from '../../run/run-folder.ts';
import { RunError } from '../../run-error.ts';
import { evalSignature } from '../../train/train-program.ts';
import { withAdapted } from '../adapted-session.ts';
import { withChosenType } from '../chosen-type.ts';
import { inferencePlace } from './inference-engine.ts';

type Request = Pick<Extract<JobRequest, { kind: 'generate' }>, 'adapter' | 'options'> & { readonly sample: number };

export interface ComparedAnswers {
  readonly compared: ComparedSample;
  readonly engine: string;
}

/** @throws GenerateError without a run; RunError 'no-data', 'wrong-task', 'checkpoint-damaged', 'stopped'; AdapterError; DataError */
export async function compareAnswers(
  { adapter: runDir, options, sample: index }: Request,
  { job, context }: JobScope,
): Promise<ComparedAnswers> {
  if (runDir === undefined) throw new GenerateError('samples are those of a run: choose a run that was tuned on preferences');
  const ofRun = await readRunRecipe(runDir);
  const { engine, baseOffload = 'none' } = await inferencePlace({ job, context }, options, [runDir]);
  const adapter = await readAdapter(runDir);
  try {
    const { dtype = ofRun.dtype, quantize = ofRun.quantize } = options;
    const recipe = await withChosenType({ ...ofRun, engine, base_offload: baseOffload, dtype, quantize }, adapter);
    const base = await openBase({ job, context, recipe });
    try {
      checkBase(adapter, base.fingerprint);
      const opened = await openAnswers(await withDataFiles({ job, context, recipe, base }));
      const { part, samples, scoring } = opened;
      const answers = samples[index];
      if (answers === undefined) throw noSample(index, samples.length);
      const source = scoring.sourceOf(answers);
      const scoresBy = (tuned: Adapter | undefined): Promise<readonly number[]> =>
        withAdapted({ job, base, task: scoring.task, adapter: tuned, recipe, shapes: source.plan.buckets }, async session => {
          const scores: number[] = [];
          for (const planned of source.plan.epoch(0)) {
            job.checkStop();
            const batch = await source.fill(planned);
            const found = scoring.scoresOf(batch, await session.run(evalSignature(batch.bucket), batch.feeds(1)));
            for (const [i, place] of batch.sampleIndices.entries())
              for (let row = 0; row < scoring.rowsPerSample; row++)
                scores[scoring.rowsPerSample * place + row] = found[scoring.rowsPerSample * i + row] ?? Number.NaN;
          }
          if (!scores.every(Number.isFinite)) throw notFinite(tuned);
          return scores;
        });
      const before = scoring.scoresBefore ? await scoresBy(undefined) : undefined;
      const after = await scoresBy(adapter);
      const compared: ComparedSample = {
        part,
        index,
        count: samples.length,
        measure: scoring.measure,
        prompt: promptOf(elementAt(answers, 0).sequence, opened),
        answers: answers.map((answer, i) => ({
          ...shownAnswer(answer, opened),
          ...(before && { base: elementAt(before, i) }),
          tuned: elementAt(after, i),
        })),
      };
      return { compared, engine: base.engine.description.summary };
    } finally {
      await base.folder.weights.close();
    }
  } finally {
    await adapter.close();
  }
}

const notFinite = (tuned: Adapter | undefined): GenerateError =>
  new GenerateError(`the ${tuned ? 'tuned' : 'base'} model gives scores that are not finite: choose a run whose loss stayed finite`);

const noSample = (index: number, count: number): RunError =>
  new RunError('no-data', `there is no sample ${index + 1}: the data has ${count} that can be shown`, `Choose a sample from 1 to ${count}`);

const textOf = (ids: Int32Array, { base }: OpenedAnswers): string => base.tokenizer.decode([...ids], { skipSpecialTokens: true });

/** Index of the first token of the answer. */
const beginOf = ({ train }: TokenSequence): number => Math.max(0, train.indexOf(1));

const promptOf = (sequence: TokenSequence, opened: OpenedAnswers): string => textOf(sequence.ids.subarray(0, beginOf(sequence)), opened);

const shownAnswer = ({ side, sequence }: SampleAnswer, opened: OpenedAnswers) => ({
  side,
  text: textOf(sequence.ids.subarray(beginOf(sequence)), opened),
  tokens: countTargets(sequence),
});

/** One line for each answer: `chosen  -1.204  -0.853  Hello!` */
export const comparedLines = ({ answers }: ComparedSample): string =>
  answers
    .map(({ side, base, tuned, text }) =>
      [side, ...(base === undefined ? [] : [compact(base)]), compact(tuned), text.replaceAll(/\s+/g, ' ')].join('  '),
    )
    .join('\n');
