/** Scores answers with a reward model, which is in memory only while it scores. */
import path from 'node:path';
import { adaptedModel } from '../../adapter/apply-adapter.ts';
import { withAdapter } from '../../adapter/read-adapter.ts';
import { REWARD } from '../../catalog/answer-checks.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { freeOrder } from '../../data/batch/batch-settings.ts';
import { fillTexts } from '../../data/batch/text-batches.ts';
import { DataError } from '../../data/data-error.ts';
import { answerTo, questionOf } from '../../data/example/question.ts';
import { recordsAt } from '../../data/load/records-at.ts';
import type { Question } from '../../data/types.ts';
import { float32Of } from '../../graph/types.ts';
import type { AnswerResult } from '../../job/evaluate.ts';
import { logHosted } from '../../job/log-hosted.ts';
import { withModelFolder } from '../../job/open-base.ts';
import { inputOf } from '../../model/model-spec.ts';
import { FLOAT32 } from '../../model/weight-storage.ts';
import { elementAt, required } from '../../narrow.ts';
import { counted } from '../../protocol/text/format.ts';
import type { AnswerView } from '../../protocol/view/run.ts';
import { planTexts } from '../classifier/text-reader.ts';
import { checkVocabulary, datasetSettings } from '../load-data.ts';
import { startOf } from '../reward/reward-data.ts';
import type { SetUpParams } from '../task-setup.ts';
import { untouchedIn } from '../untouched-in.ts';
import type { AnswerPrompt } from './answer-prompts.ts';
import type { RewardModel } from './reward-model.ts';
import { rewardSignature } from './reward-program.ts';
import { withRewardSession } from './reward-session.ts';

/** An answer's text in the form that a reward model reads. */
interface RewardText {
  readonly ids: Int32Array;
  readonly secondAt: number;
  readonly isTruncated: boolean;
}

/** Scores answers to the prompts of an evaluation. */
export class AnswerScorer {
  private readonly params: SetUpParams;
  private readonly judge: RewardModel;
  private readonly prompts: readonly AnswerPrompt[];
  private readonly questions: readonly Question[];
  /** Rewards by prompt and answer: the original model's answers occur in every evaluation. */
  private readonly known = new Map<string, number>();
  private hasWarned = false;

  private constructor(params: SetUpParams, judge: RewardModel, prompts: readonly AnswerPrompt[], questions: readonly Question[]) {
    this.params = params;
    this.judge = judge;
    this.prompts = prompts;
    this.questions = questions;
  }

  /** @param labels of the data @throws DataError for a sample whose answer the reward model cannot read */
  static async open(
    params: SetUpParams,
    judge: RewardModel,
    { prompts, labels }: { readonly prompts: readonly AnswerPrompt[]; readonly labels: readonly string[] },
  ): Promise<AnswerScorer> {
    const scorer = new AnswerScorer(params, judge, prompts, await questionsOf(params, prompts, labels));
    for (const [i, { reference }] of prompts.entries()) scorer.textOf(i, reference);
    return scorer;
  }

  /**
   * Returns the answers with their rewards, and measures of the rewards. Undefined if the job was stopped meanwhile.
   * @param written answers, in the order of the prompts
   * @param ofBase answers of the original model, if they are known
   */
  async score(written: readonly AnswerView[], ofBase: readonly AnswerView[]): Promise<AnswerResult | undefined> {
    const original = new Map(ofBase.map(({ prompt, answer }) => [prompt, answer]));
    const baseAnswers = this.prompts.map(({ prompt }) => original.get(prompt));
    const wanted = this.prompts.flatMap((_, i) => [elementAt(written, i).answer, baseAnswers[i]].map(answer => ({ i, answer })));
    const found = await this.scoreNew(wanted.flatMap(({ i, answer }) => (answer === undefined ? [] : [{ i, answer }])));
    if (!found) return undefined;
    const answers = written.map((view, i): AnswerView => {
      const reward = this.known.get(keyOf(i, view.answer));
      const base = baseAnswers[i];
      const baseReward = base === undefined ? undefined : this.known.get(keyOf(i, base));
      return { ...view, ...(reward !== undefined && { reward }), ...(baseReward !== undefined && { baseReward }) };
    });
    return { measures: rewardMeasures(answers), answers };
  }

  /** Scores answers that have not been scored before. @returns whether all were scored */
  private async scoreNew(wanted: readonly { readonly i: number; readonly answer: string }[]): Promise<boolean> {
    const texts = new Map<string, RewardText>();
    const unreadable: string[] = [];
    for (const { i, answer } of wanted) {
      const key = keyOf(i, answer);
      if (this.known.has(key) || texts.has(key)) continue;
      try {
        texts.set(key, this.textOf(i, answer));
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        unreadable.push(error.message);
      }
    }
    const { job } = this.params;
    const [first] = unreadable;
    if (first !== undefined)
      job.log('warning', `the reward model cannot read ${counted(unreadable.length, 'answer')}, which have no reward: ${first}`);
    this.warnOfCut([...texts.values()]);
    const rewards = await rewardsOf(this.params, this.judge, [...texts.values()]);
    if (!rewards) return false;
    for (const [n, key] of [...texts.keys()].entries()) this.known.set(key, rewards[n] ?? Number.NaN);
    return true;
  }

  private warnOfCut(texts: readonly RewardText[]): void {
    const cut = texts.filter(({ isTruncated }) => isTruncated).length;
    if (cut === 0 || this.hasWarned) return;
    this.hasWarned = true;
    const { name, maxLength } = this.judge;
    this.params.job.log(
      'warning',
      `${counted(cut, 'answer')} with the prompt exceed the ${maxLength} tokens that the reward model ${name} reads: their end does not count`,
    );
  }

  /** @throws DataError if the reward model cannot read it */
  private textOf(i: number, answer: string): RewardText {
    const { place } = elementAt(this.prompts, i);
    const { chatRenderer, tokenize, maxLength, model } = this.judge;
    const example = answerTo(elementAt(this.questions, i), answer, { place, chatRenderer });
    const made = tokenize(example, place);
    if (made.kind === 'dropped')
      throw new DataError({
        file: place.file,
        line: place.line,
        problem: `the prompt alone fills the ${maxLength} tokens that the reward model reads`,
        advice: 'Hold out shorter prompts, or train the reward model with a larger max_length',
      });
    const { ids } = made.sequence;
    checkVocabulary([{ ids, file: place.file, line: place.line }], inputOf(model, 'tokens'));
    return { ids, secondAt: model.encoder ? startOf(made.sequence) : ids.length, isTruncated: made.truncated };
  }
}

const keyOf = (prompt: number, answer: string): string => `${prompt} ${answer}`;

/** The question of each prompt, read again from the data, because the reward model has another chat template. */
async function questionsOf(params: SetUpParams, prompts: readonly AnswerPrompt[], labels: readonly string[]): Promise<readonly Question[]> {
  const { recipe, context } = params;
  const { data } = recipe;
  const settings = datasetSettings(params, labels);
  const files = (data.eval.length > 0 ? data.eval : data.train).map(file => path.resolve(context.baseDir, file));
  const { records, format } = await recordsAt(
    files,
    settings,
    prompts.map(({ place }) => place),
  );
  const asking = { ...settings, format, shownLabels: labels, answers: objectiveCatalog[recipe.task].compares?.answers };
  return records.map((record, i) => questionOf(record, asking, elementAt(prompts, i).trained));
}

/** The rewards in the order of the texts; undefined if the job was stopped meanwhile. Loads the reward model and releases it afterwards. */
async function rewardsOf(
  params: SetUpParams,
  { name, model, base: folderName, adapterPath, maxLength }: RewardModel,
  texts: readonly RewardText[],
): Promise<Float32Array | undefined> {
  const { recipe, base, job, precision = FLOAT32 } = params;
  const rewards = new Float32Array(texts.length);
  if (texts.length === 0) return rewards;
  const batchSize = recipe.per_device_eval_batch_size;
  const plan = planTexts(texts, { batchSize, maxLength, ...freeOrder(recipe.seed) });
  job.note('debug', `loading the reward model ${name}`);
  return withModelFolder(params, folderName, folder =>
    withAdapter(adapterPath, async adapter => {
      const { weights, attachment: added, start } = await adaptedModel({ model, weights: folder.weights, adapter, hostFrom: undefined });
      const { storage, hosted } = untouchedIn(model, precision, base.engine.hostFrom);
      const attachment = { ...added, storage, ...(hosted && { hosted }) };
      logHosted(job, base.engine.description, model, attachment);
      return await withRewardSession(base.engine, { model, weights, attachment, start, shapes: plan.buckets }, async session => {
        const report = job.progress('evaluate', texts.length, 'rewards');
        const { padId, tokenTypes } = inputOf(model, 'tokens');
        let done = 0;
        for (const planned of plan.epoch(0)) {
          await job.yieldToEvents();
          if (job.stop) return undefined;
          const { feeds, sampleIndices } = fillTexts({ examples: texts, padId, types: tokenTypes > 1 }, planned);
          const found = float32Of(
            required((await session.run(rewardSignature(planned.bucket), feeds)).rewards, 'the rewards of the batch'),
          );
          for (const [row, sample] of sampleIndices.entries()) rewards[sample] = found[row] ?? Number.NaN;
          done += sampleIndices.length;
          report(done);
        }
        return rewards;
      });
    }),
  );
}

/**
 * `reward`, the mean. If the original model's answers are known, also `reward_gain`, the mean difference from their rewards, and
 * `reward_win_rate`, the share of answers with a higher reward, where ties count half.
 */
export function rewardMeasures(answers: readonly Pick<AnswerView, 'reward' | 'baseReward'>[]): Readonly<Record<string, number>> {
  const rewards = answers.flatMap(({ reward }) => reward ?? []);
  const gains = answers.flatMap(({ reward, baseReward }) =>
    reward === undefined || baseReward === undefined ? [] : [reward - baseReward],
  );
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    ...(rewards.length > 0 && { [REWARD]: mean(rewards) }),
    ...(gains.length > 0 && { reward_gain: mean(gains), reward_win_rate: mean(gains.map(gain => (Math.sign(gain) + 1) / 2)) }),
  };
}
