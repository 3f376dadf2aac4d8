/** The compared or judged answers in a run's data, each sample with the batch that a model scores its answers in. */
import { givesRewards, objectiveCatalog } from '../../catalog/objectives.ts';
import { answerSource, isAnswerBatch, planAnswers } from '../../data/batch/answer-batches.ts';
import { evalBatchSettings, freeOrder } from '../../data/batch/batch-settings.ts';
import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import { SIDES } from '../../data/example/format-pair.ts';
import { judgmentName } from '../../data/load/load-judged.ts';
import type { TokenSequence } from '../../data/types.ts';
import type { Graph } from '../../graph/graph.ts';
import type { HostArray } from '../../graph/types.ts';
import { type TextBase, withTokenizer } from '../../job/open-base.ts';
import { padIdOf } from '../../job/pad-id.ts';
import { type CausalModel, inputOf } from '../../model/model-spec.ts';
import { elementAt } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { MAX_SAMPLES } from '../../protocol/view/compared-sample.ts';
import type { DataPart, ShownSide } from '../../protocol/view/data.ts';
import { RunError } from '../../run-error.ts';
import type { Task } from '../../train/task.ts';
import { causalModelFor } from '../causal/causal-setup.ts';
import type { DataParts } from '../data-parts.ts';
import { groupBatches } from '../group-setup.ts';
import { loadJudgedData } from '../kto/judged-data.ts';
import { answerLogs } from '../preference/answer-logs.ts';
import { loadPairData } from '../preference/pair-data.ts';
import { type AnswerLoss, type AnswerNodes, perToken } from '../preference/pair-loss.ts';
import { rewardPerToken } from '../preference/pair-measures.ts';
import { preferenceTask } from '../preference/preference-task.ts';
import { groupsOf, isEncoder, rewardModelFor } from '../reward/reward-data.ts';
import { task as rewardTask } from '../reward/task.ts';
import type { SetUpParams } from '../task-setup.ts';

/** An answer with its role in the sample. */
export interface SampleAnswer {
  readonly side: ShownSide;
  readonly sequence: TokenSequence;
}

/** How a model scores the answers of a sample. */
export interface AnswerScoring {
  readonly measure: 'logp' | 'reward';
  /** True if the model has scores before tuning: a randomly initialized head has none. */
  readonly scoresBefore: boolean;
  readonly task: Task;
  readonly sourceOf: (sample: readonly SampleAnswer[]) => BatchSource;
  /** Answers per sample of the source. */
  readonly rowsPerSample: number;
  /** Returns one score per row of the batch: the mean log-probability of the answer's tokens, or its reward. */
  readonly scoresOf: (batch: Batch, outputs: Readonly<Record<string, HostArray>>) => ArrayLike<number>;
}

export interface OpenedAnswers {
  readonly part: DataPart;
  readonly samples: readonly (readonly SampleAnswer[])[];
  readonly scoring: AnswerScoring;
  readonly base: TextBase;
}

/**
 * Opens the held-out samples of a recipe, or its training samples if it holds none out. @throws RunError 'no-data', 'wrong-task'; DataError
 */
export async function openAnswers(given: SetUpParams): Promise<OpenedAnswers> {
  const { recipe } = given;
  const { compares } = objectiveCatalog[recipe.task];
  if (compares === undefined)
    throw new RunError('wrong-task', `the run's task ${recipe.task} compares no answers`, 'Choose a run that was tuned on preferences');
  const part = recipe.data.eval.length > 0 || recipe.val_size > 0 ? 'eval' : 'train';
  const params = { ...given, recipe: withFew(recipe, part) };
  const { base, scoring, ...reading } = givesRewards(recipe.task) ? await rewardScoring(params) : await likelihoodScoring(params);
  const loading = { ...params, base, ...reading };
  const wanted = part === 'eval' ? 'held' : 'train';
  const shown = <Sample>(parts: DataParts<Sample>): readonly Sample[] => parts[wanted];
  const samples =
    compares.answers === 'pairs'
      ? shown(await loadPairData(loading, wanted)).map(pair => SIDES.map(side => ({ side, sequence: pair[side] })))
      : shown(await loadJudgedData(loading, wanted)).map(({ sequence, isGood }) => [{ side: judgmentName(isGood), sequence }]);
  return { part, samples, scoring, base };
}

function withFew(recipe: Recipe, part: DataPart): Recipe {
  const key = part === 'train' ? 'max_samples' : 'eval_max_samples';
  return { ...recipe, data: { ...recipe.data, [key]: Math.min(recipe.data[key] ?? MAX_SAMPLES, MAX_SAMPLES) } };
}

async function likelihoodScoring(params: SetUpParams) {
  const { recipe } = params;
  const model: CausalModel = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model });
  const padId = padIdOf(base);
  const scoring: AnswerScoring = {
    measure: 'logp',
    scoresBefore: true,
    task: preferenceTask(model, { judge: unlikelihood, rowsPerSample: 1 }),
    sourceOf(sample) {
      const sequences = sample.map(({ sequence }) => sequence);
      const plan = planAnswers(
        sequences.map(sequence => [sequence]),
        evalBatchSettings(recipe),
      );
      return answerSource({ plan, sequences, rowsPerSample: 1, padId });
    },
    rowsPerSample: 1,
    scoresOf: (batch, { nll }) => (isAnswerBatch(batch) ? answerLogs(batch, nll, 1).answers.map(rewardPerToken({ beta: 1 })) : []),
  };
  return { base, scoring, input: model };
}

/** The mean NLL of an answer's tokens. */
function unlikelihood(graph: Graph, answers: AnswerNodes): AnswerLoss {
  const slopes = graph.neg(perToken(graph, answers));
  return { losses: graph.sum(graph.mul(answers.logps, slopes), [1]), slopes };
}

async function rewardScoring(params: SetUpParams) {
  const { recipe } = params;
  const model = rewardModelFor(params);
  const hasSegments = isEncoder(model);
  const settings = {
    rowsPerSample: PAIR_ROWS,
    batchSize: recipe.per_device_eval_batch_size,
    maxLength: recipe.max_length,
    ...freeOrder(recipe.seed),
  };
  const scoring: AnswerScoring = {
    measure: 'reward',
    scoresBefore: model.parameters.every(({ initial }) => initial === undefined),
    task: rewardTask(model, recipe),
    sourceOf(sample) {
      const [chosen, rejected] = [elementAt(sample, 0).sequence, elementAt(sample, 1).sequence];
      return groupBatches(groupsOf([{ chosen, rejected, file: '', line: 0 }], hasSegments), model, settings);
    },
    rowsPerSample: PAIR_ROWS,
    scoresOf: (_, { rewards = [] }) => rewards,
  };
  return { base: await withTokenizer(params.base), scoring, input: inputOf(model, 'tokens'), isEncoder: hasSegments };
}
