/** Held-out prompts that a model answers during an evaluation, and measures of its answers. */
import { chatRendererOf } from '../../data/chat/chat-renderer.ts';
import type { Example } from '../../data/types.ts';
import { AnswerParts, answerForms } from '../../generate/answer-parts.ts';
import { BatchedAnswers } from '../../generate/batched-answers.ts';
import { answerRoom } from '../../generate/decode-program.ts';
import { Decoder } from '../../generate/decoder.ts';
import type { AnswerResult, AnswerWriter, EvaluateParams } from '../../job/evaluate.ts';
import { type TextBase, withTokenizer } from '../../job/open-base.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { rewardModelOf, writesAnswers } from '../../protocol/recipe/rules/generation-rules.ts';
import { counted, grouped } from '../../protocol/text/format.ts';
import type { AnswerView } from '../../protocol/view/run.ts';
import { RunError } from '../../run-error.ts';
import type { ImageVectors } from '../../vision/encode-images.ts';
import { promptImages } from '../../vision/prompt-images.ts';
import type { SetUpParams, TaskSetup } from '../task-setup.ts';
import { type AnswerPrompt, promptsOf } from './answer-prompts.ts';
import { type CheckAnswer, checksOf } from './check-answer.ts';
import { openRewardModel } from './reward-model.ts';
import { rewardPassOf } from './reward-program.ts';
import { AnswerScorer } from './score-answers.ts';

/**
 * Returns the same setup, with evaluations that also write answers if the recipe requests them. @throws RunError 'no-data' if no held-out
 * sample has a prompt
 */
export async function withAnswers(params: SetUpParams, setup: TaskSetup): Promise<TaskSetup> {
  const { model, evaluator, heldAnswers } = setup;
  if (!writesAnswers(params.recipe) || !evaluator || !heldAnswers || model.kind !== 'causal') return setup;
  const base = await withTokenizer({ ...params.base, model });
  return { ...setup, evaluator: { ...evaluator, answers: await answerWriter(params, base, { ...setup, examples: heldAnswers() }) } };
}

interface HeldSamples extends Pick<TaskSetup, 'labels' | 'imageVectors'> {
  readonly examples: Iterable<Example>;
}

async function answerWriter(
  params: SetUpParams,
  base: TextBase<CausalModel>,
  { examples, labels, imageVectors: vectors }: HeldSamples,
): Promise<AnswerWriter> {
  const { recipe, job } = params;
  const { max_samples: count, max_new_tokens: newTokens } = recipe.eval_generation;
  const { tokenizer, model } = base;
  const renderer = chatRendererOf(tokenizer);
  const forms = renderer && answerForms(renderer, tokenizer);
  const { prompts, withoutPrompt } = promptsOf(examples, { tokenizer, readingOf: ids => forms?.reading(ids), count, seed: recipe.seed });
  if (prompts.length === 0)
    throw new RunError(
      'no-data',
      'no held-out sample has a prompt, so eval_generation has nothing to answer',
      'Hold out chats or prompts with answers, or remove eval_generation',
    );
  if (withoutPrompt > 0) job.log('info', `${counted(withoutPrompt, 'held-out sample')} without a prompt cannot be answered`);
  job.log(
    'info',
    `each evaluation also answers ${counted(prompts.length, 'held-out prompt')} with at most ${counted(newTokens, 'token')} each, ${grouped(prompts.length * newTokens)} in total`,
  );
  const longest = prompts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const tokens = answerRoom(longest, newTokens, model);
  const slots = Math.min(recipe.per_device_eval_batch_size, prompts.length);
  const judgeName = rewardModelOf(recipe);
  const judge = judgeName === undefined ? undefined : await openRewardModel(params, judgeName, base.now);
  const scorer = judge && (await AnswerScorer.open(params, judge, { prompts, labels }));
  return {
    model,
    tokens,
    slots,
    images: vectors !== undefined,
    ...(judge && { judge: rewardPassOf(judge, recipe) }),
    write: async scope => {
      const found = await writeAnswers(scope, {
        base,
        prompts,
        tokens,
        slots,
        newTokens,
        vectors,
        checks: checksOf(recipe.eval_generation),
      });
      return found && scorer ? scored(scope, scorer, found) : found;
    },
  };
}

/** The answers with their rewards. With several processes, the first one holds the reward model. */
async function scored(
  { ranks, ofBase }: Scope,
  scorer: AnswerScorer,
  { measures, answers }: AnswerResult,
): Promise<AnswerResult | undefined> {
  const own = ranks?.isFirst === false ? undefined : await scorer.score(answers, (await ofBase?.()) ?? []);
  const found = ranks ? ranks.first(own) : own;
  return found && { measures: { ...measures, ...found.measures }, answers: found.answers };
}

interface WriteParams {
  readonly base: TextBase<CausalModel>;
  readonly prompts: readonly AnswerPrompt[];
  /** Size of the cache. */
  readonly tokens: number;
  readonly slots: number;
  readonly newTokens: number;
  /** The vectors of the prompts' images, if they have any. */
  readonly vectors: ImageVectors | undefined;
  readonly checks: ReadonlyMap<string, CheckAnswer>;
}

type Scope = Omit<EvaluateParams, 'evaluator' | 'onAnswers'>;

/** Number of answers per slot in a round: a slot takes the next answer when its own has ended. A stop request waits for the round. */
const ROUNDS_AHEAD = 4;

/** Writes all answers, several at the same time. With several processes, each writes some of them and receives all of them. */
async function writeAnswers(scope: Scope, params: WriteParams): Promise<AnswerResult | undefined> {
  const { job, session, ranks } = scope;
  const { base, prompts, tokens, slots, vectors } = params;
  const decoder = new Decoder(session, { tokens, slots, model: base.model, images: vectors !== undefined });
  const answers = new BatchedAnswers(decoder, base.tokenizer);
  const report = job.progress('evaluate', prompts.length, 'answers');
  const written: AnswerView[] = [];
  const [size, own] = [ranks?.size ?? 1, ranks?.rank ?? 0];
  const each = ROUNDS_AHEAD * slots;
  for (let first = 0; first < prompts.length; first += size * each) {
    ranks?.agree();
    await job.yieldToEvents();
    if (job.stop) return undefined;
    const mine = prompts.slice(first + own * each, first + (own + 1) * each);
    const round = await Promise.all(mine.map(prompt => writeAnswer(scope, params, answers, prompt)));
    written.push(...(ranks ? ranks.all(round).flat() : round));
    report(written.length);
  }
  const mean = (name: string): number => written.reduce((sum, { scores }) => sum + (scores[name] ?? Number.NaN), 0) / written.length;
  return { measures: Object.fromEntries([...params.checks.keys()].map(name => [name, mean(name)])), answers: written };
}

/** Writes one answer, which is empty if the prompt leaves no room for it. */
async function writeAnswer(
  { job }: Scope,
  { base: { model }, newTokens, vectors, checks }: WriteParams,
  answers: BatchedAnswers,
  { ids, images = [], prompt, reference, reading }: AnswerPrompt,
): Promise<AnswerView> {
  const options = { temperature: 0, topK: 0, topP: 1, seed: 0, maxNewTokens: newTokens };
  const hasRoom = ids.length < model.maxPositions;
  const isCanceled = (): boolean => job.stop !== undefined;
  const parts = new AnswerParts(reading, () => undefined);
  const seen = vectors && (await promptImages(ids, images, { model, vectors }));
  const asked = { ids, images: seen, maxTokens: model.maxPositions, options, isCanceled, keepsSpecialTokens: reading !== undefined };
  const found = hasRoom ? await answers.answer({ ...asked, onText: chunk => parts.push(chunk) }) : undefined;
  parts.end(found?.finishReason === 'end');
  const { answer } = parts;
  return { prompt, reference, answer, scores: Object.fromEntries([...checks].map(([name, check]) => [name, check(answer, reference)])) };
}
