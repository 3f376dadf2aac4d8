/** The tasks that label texts, or give them a number: samples, a head for their labels, batches, evaluation. */
import path from 'node:path';
import { loadModel } from '../model/load-model.ts';
import type { ClassifierModel } from '../model/model-spec.ts';
import { checkWeights } from '../model/weight-stream.ts';
import { classifierTask } from '../train/classifier-task.ts';
import { planBatches } from '../train/data/batch-plan.ts';
import { DataError } from '../train/data/data-error.ts';
import { describeData } from '../train/data/data-report.ts';
import { type LabelledText, loadLabelled } from '../train/data/load-labelled.ts';
import { splitSamples } from '../train/data/split.ts';
import { textSource } from '../train/data/text-batches.ts';
import { BUCKETS } from './batch-settings.ts';
import { classEvaluator } from './class-evaluator.ts';
import { withTokenizer } from './open-base.ts';
import { RunError } from './run-error.ts';
import type { SetUpParams, SetUpTask } from './task-setup.ts';

export const setUpClassifier: SetUpTask = async (params, part) => {
  const { recipe, base, job } = params;
  const regression = recipe.task === 'sequence_regression';
  const { tokenizer } = await withTokenizer(base);
  const limit = tokensOf(base.model);
  if (recipe.max_length > limit)
    job.log('info', `samples are cut to the ${limit} positions of the model, below max_length ${recipe.max_length}`);
  const maxLength = Math.min(recipe.max_length, limit);
  const load = async (files: readonly string[], labels: readonly string[], maxSamples: number | undefined) => {
    job.phase('data', `reading ${files.join(', ')}`);
    const paths = files.map(file => path.resolve(params.context.baseDir, file));
    const data = await loadLabelled({ paths, tokenizer, columns: recipe.data.columns, regression, labels, maxLength, maxSamples });
    job.checkStop();
    for (const line of describeData(data.report).split('\n')) job.log('info', line);
    return data;
  };
  const { train, held, labels } = await loadParts(params, part, load);
  const model = modelFor(params, labels);
  const { padId, tokenTypes } = model.input as Extract<ClassifierModel['input'], { kind: 'tokens' }>;
  const pairs = [...train, ...held].some(({ ids, secondAt }) => secondAt < ids.length);
  const settings = {
    batchSize: recipe.per_device_train_batch_size,
    maxLength,
    packing: false,
    seed: recipe.seed,
    ...BUCKETS,
    maxTargetSizes: 1,
    targetMultiple: 1,
  };
  const sourceOf = (examples: readonly LabelledText[], { batchSize, shuffle }: { batchSize: number; shuffle: boolean }) => {
    const sizes = examples.map(({ ids }) => ({ length: ids.length, targets: 1 }));
    return textSource({
      plan: planBatches(sizes, { ...settings, batchSize, shuffle }),
      examples,
      padId,
      types: pairs && tokenTypes > 1,
      regression,
    });
  };
  return {
    model,
    task: classifierTask(model, { pairs }),
    labels,
    samples: train.length,
    labelOf: index => (regression ? -1 : (train[index]?.target ?? -1)),
    trainSource: () => sourceOf(train, { batchSize: recipe.per_device_train_batch_size, shuffle: recipe.data.shuffle }),
    sourceOf: (indices, batchSize) =>
      sourceOf(
        indices.flatMap(index => train[index] ?? []),
        { batchSize, shuffle: false },
      ),
    evaluator:
      held.length === 0
        ? undefined
        : classEvaluator({
            model,
            source: sourceOf(held, { batchSize: recipe.per_device_eval_batch_size, shuffle: false }),
            targets: held.map(({ target }) => target),
          }),
  };
};

function tokensOf(model: SetUpParams['base']['model']): number {
  if (model.kind === 'classifier' && model.input.kind === 'tokens') return model.input.maxPositions;
  throw new RunError(
    'wrong-task',
    `the model is a ${model.family} that ${model.kind === 'causal' ? 'predicts the next token' : 'looks at images'}; this task needs one that classifies texts`,
    `Set task: ${model.kind === 'causal' ? 'causal_lm (a language model can answer with the label of text_label data)' : 'image_classification'}`,
  );
}

interface Parts {
  readonly train: readonly LabelledText[];
  readonly held: readonly LabelledText[];
  readonly labels: readonly string[];
}

type Load = (
  files: readonly string[],
  labels: readonly string[],
  maxSamples: number | undefined,
) => Promise<{ readonly examples: readonly LabelledText[]; readonly labels: readonly string[] }>;

/** @throws RunError 'no-data'; DataError where there is but one class to learn */
async function loadParts({ recipe, base, labels: known = [], job }: SetUpParams, part: 'train' | 'held', load: Load): Promise<Parts> {
  const { data, val_size: validation, seed } = recipe;
  const given = data.labels.length > 0 ? data.labels : known;
  const needsTraining = part === 'train' || data.eval.length === 0;
  if (needsTraining && data.train.length === 0)
    throw new RunError('no-data', 'the recipe names no training data', 'Set data.train to a json, jsonl, csv, tsv or parquet file');
  if (part === 'held' && data.eval.length === 0 && validation === 0)
    throw new RunError('no-data', 'the recipe names no held-out data to evaluate on', 'Set data.eval, or val_size');
  const found = needsTraining ? await load(data.train, given, data.max_samples) : undefined;
  const held = data.eval.length > 0 ? await load(data.eval, found?.labels ?? given, data.eval_max_samples) : undefined;
  const labels = withModelOrder(found?.labels ?? held?.labels ?? [], base.model);
  const place = new Map(labels.map((name, i) => [name, i]));
  const placed = (examples: readonly LabelledText[] = []) =>
    labels.length === 0 ? examples : examples.map(example => ({ ...example, target: place.get(example.label) ?? -1 }));
  if (part === 'train' && recipe.task === 'sequence_classification' && labels.length < 2)
    throw new DataError({
      problem: `every sample has the label "${labels[0] ?? ''}"`,
      advice: 'Give samples of at least two labels, or set task: sequence_regression where labels are numbers',
    });
  if (held || validation === 0) return { train: placed(found?.examples), held: placed(held?.examples), labels };
  const all = placed(found?.examples);
  const split = splitSamples({ count: all.length, validation, seed, labels: all.map(({ label }) => label) });
  const pick = (indices: readonly number[]) => indices.flatMap(index => all[index] ?? []);
  job.log('info', `${split.validation.length} samples are held out for evaluation, ${split.train.length} are trained on`);
  return { train: pick(split.train), held: pick(split.validation).slice(0, data.eval_max_samples), labels };
}

/** Where the model's own head has just these labels, its order is kept, and so is the head. */
function withModelOrder(labels: readonly string[], model: SetUpParams['base']['model']): readonly string[] {
  if (model.kind !== 'classifier') return labels;
  const same = model.labels.length === labels.length && labels.every(name => model.labels.includes(name));
  return same ? model.labels : labels;
}

/** The model with a head for these labels; a new head is said aloud. */
function modelFor({ recipe, base, job }: SetUpParams, labels: readonly string[]): ClassifierModel {
  const regression = recipe.task === 'sequence_regression';
  const model = loadModel(base.folder.config, {
    ...(labels.length > 0 ? { labels } : {}),
    problem: regression ? 'regression' : 'single_label',
    headSeed: recipe.seed,
  });
  if (model.kind !== 'classifier') throw new Error(`${model.family} became another kind of model`);
  checkWeights(model, base.folder.weights);
  const fresh = model.parameters.filter(({ initial }) => initial);
  if (fresh.length > 0)
    job.log('info', `a new head of ${model.labels.length} outputs is trained from the start: ${fresh.map(({ name }) => name).join(', ')}`);
  return model;
}
