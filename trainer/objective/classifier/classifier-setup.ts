/**
 * The tasks that predict a label for a text or image, a label for each word, or a number for a text: their samples, head, batches and
 * evaluation.
 */

import { hasOneOutput, objectiveCatalog } from '../../catalog/objectives.ts';
import { freeOrder, orderSettings } from '../../data/batch/batch-settings.ts';
import { digestSamples } from '../../data/data-digest.ts';
import { DataError } from '../../data/data-error.ts';
import { drawFrom } from '../../data/draw.ts';
import type { LabeledInOrder } from '../../data/lazy/labeled-in-order.ts';
import type { LabeledText } from '../../data/load/load-labeled.ts';
import { splitGroups, splitSamples } from '../../data/split.ts';
import { loadModel } from '../../model/load-model.ts';
import type { AnyModel, ClassifierModel } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import { describeUnseen, unseenLabels } from '../../protocol/checks/unseen-labels.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { RunError } from '../../run-error.ts';
import { checkNamed, logSplit } from '../data-parts.ts';
import { describeIndex } from '../load-in-order.ts';
import { logNewHead } from '../new-head.ts';
import { ownParts, type ReadParams, type SetUpParams, type SetUpTask, type TaskSetup } from '../task-setup.ts';
import { classWeightsOf } from './class-weights.ts';
import type { ClassifierReader, Labeled } from './classifier-reader.ts';
import { classifierTask } from './classifier-task.ts';
import { type ImageInput, imageForm, imageReader } from './image-reader.ts';
import { taggedReader } from './tagged-reader.ts';
import { type TokenInput, textReader } from './text-reader.ts';
import { countsOf, openTextsInOrder, partTexts, sourceInOrder } from './texts-in-order.ts';

/** Sets up text classifiers. Large training data is tokenized on demand, unless tokens determine which samples are held out together. */
export const setUpTexts: SetUpTask = async (params, part) => {
  const input = tokensOf(params, 'classifies texts');
  const reader = await textReader(params, input);
  const opened = part === 'train' ? await openTextsInOrder(params, input) : undefined;
  return opened ? setUpInOrder(params, reader, opened) : setUp(params, part, reader);
};

/** Sets up batches of texts that are mostly tokenized on demand. */
async function setUpInOrder(params: SetUpParams, reader: ClassifierReader<LabeledText>, opened: LabeledInOrder): Promise<TaskSetup> {
  const { recipe, base, job } = params;
  const { data, val_size, seed } = recipe;
  const { target, ranks = false } = objectiveCatalog[recipe.task];
  for (const line of describeIndex(opened.index, data.train.length, countsOf(opened)).split('\n')) job.log('info', line);
  const labels = withModelOrder(opened.labels, base.model);
  if (target === 'label' && labels.length < 2) throw oneLabel(recipe, labels);
  if (target === 'labels' && labels.length === 0) throw noLabel();
  const other =
    data.eval.length > 0 ? await reader.read({ files: data.eval, labels: opened.labels, maxSamples: data.eval_max_samples }) : undefined;
  const known = tokensOf(params, 'classifies texts');
  const parts = partTexts(opened, labels, { validation: other ? 0 : val_size, seed, known });
  const { train, counts } = parts;
  if (parts.held.length > 0) logSplit(job, { held: parts.held.length, trained: train.length });
  const held = other
    ? other.examples.map(reader.place(labels))
    : drawFrom(parts.held, { count: data.eval_max_samples, seed }).flatMap(place => parts.all.at(place) ?? []);
  reportUnseen(params, counts, labels);
  const model = modelFor(params, labels, undefined);
  const classWeights = recipe.class_weights === 'balanced' ? balancedWeights(params, counts, train.length, labels) : undefined;
  return {
    ...commonSetup(params, reader, model, held),
    labels: ranks ? model.labels : labels,
    samples: train.length,
    digest: { train: parts.digest, held: digestSamples(held) },
    batching: 3,
    labelOf: index => (model.problem === 'single_label' ? parts.targetOf(index) : -1),
    trainSource: (looseGroups, parts = ownParts(params)) =>
      sourceInOrder(train, model, {
        batchSize: recipe.per_device_train_batch_size,
        order: { ...orderSettings(recipe, looseGroups), parts },
        maxLength: recipe.max_length,
        classWeights,
        target,
      }),
    sourceOf: (indices, batchSize) =>
      reader.source(
        indices.flatMap(index => train.at(index) ?? []),
        model,
        { batchSize, order: freeOrder(recipe.seed), trains: false },
      ),
  };
}

/** The parts of a setup that do not depend on how training samples are read. */
function commonSetup<Sample extends Labeled>(
  { recipe }: SetUpParams,
  reader: ClassifierReader<Sample>,
  model: ClassifierModel,
  held: readonly Sample[],
): Pick<TaskSetup, 'model' | 'task' | 'evaluator'> {
  const evalSource = () =>
    reader.source(held, model, { batchSize: recipe.per_device_eval_batch_size, order: freeOrder(recipe.seed), trains: false });
  return {
    model,
    task: classifierTask(model),
    evaluator: held.length === 0 ? undefined : reader.evaluator(held, model, evalSource()),
  };
}

export const setUpTagged: SetUpTask = async (params, part) =>
  setUp(params, part, await taggedReader(params, tokensOf(params, 'reads texts from both sides')));

export const setUpImages: SetUpTask = async (params, part) =>
  setUp(params, part, imageReader(params, await imageForm(params, imagesOf(params))));

/** @param needed what a model for the task must do @throws RunError 'wrong-task' */
export function tokensOf({ base: { model } }: ReadParams, needed: string): TokenInput {
  if (model.kind !== 'classifier' || model.input.kind !== 'tokens') throw wrongTask(model, needed);
  return model.input;
}

/** @throws RunError 'wrong-task' */
export function imagesOf({ base: { model } }: ReadParams): ImageInput {
  if (model.kind !== 'classifier' || model.input.kind !== 'image') throw wrongTask(model, 'classifies images');
  return model.input;
}

function wrongTask(model: AnyModel, needed: string): RunError {
  const [does, task] =
    model.kind === 'causal'
      ? ['predicts the next token', 'causal_lm (a language model can answer with the label of text_label data)']
      : model.input.kind === 'image'
        ? ['looks at images', 'image_classification']
        : ['reads texts', 'sequence_classification'];
  return new RunError('wrong-task', `the model is a ${model.family} that ${does}; this task needs one that ${needed}`, `Set task: ${task}`);
}

async function setUp<Sample extends Labeled>(
  params: SetUpParams,
  part: 'train' | 'held',
  reader: ClassifierReader<Sample>,
): Promise<TaskSetup> {
  const { recipe } = params;
  const { train, held, labels } = await readParts(params, part, reader);
  const counts = reader.countLabels(train, labels);
  if (train.length > 0) reportUnseen(params, counts, labels);
  const model = modelFor(params, labels, reader.imageSize);
  const classWeights =
    recipe.class_weights === 'balanced' && train.length > 0 ? balancedWeights(params, counts, train.length, labels) : undefined;
  return {
    ...commonSetup(params, reader, model, held),
    // An adapter stores the labels of its head.
    labels: objectiveCatalog[recipe.task].ranks ? model.labels : labels,
    samples: train.length,
    digest: { train: digestSamples(train), held: digestSamples(held) },
    labelOf: index => (model.problem === 'single_label' ? (train[index]?.target ?? -1) : -1),
    trainSource: (looseGroups, parts = ownParts(params)) =>
      reader.source(train, model, {
        batchSize: recipe.per_device_train_batch_size,
        order: { ...orderSettings(recipe, looseGroups), parts },
        trains: true,
        classWeights,
      }),
    sourceOf: (indices, batchSize) => {
      const chosen = indices.flatMap(index => train[index] ?? []);
      return reader.source(chosen, model, { batchSize, order: freeOrder(recipe.seed), trains: false });
    },
  };
}

interface Parts<Sample> {
  readonly train: readonly Sample[];
  readonly held: readonly Sample[];
  readonly labels: readonly string[];
}

/** @throws RunError 'no-data'; DataError if there is only one class to learn */
export async function readParts<Sample extends Labeled>(
  { recipe, base, labels: known = [], job }: ReadParams,
  part: 'train' | 'held',
  { read, place, groupOf }: ClassifierReader<Sample>,
): Promise<Parts<Sample>> {
  const { data, val_size: validation, seed } = recipe;
  checkNamed(recipe, part, filesOf(recipe));
  const given = data.labels.length > 0 ? data.labels : known;
  const needsTraining = part === 'train' || data.eval.length === 0;
  const found = needsTraining ? await read({ files: data.train, labels: given, maxSamples: data.max_samples }) : undefined;
  const held =
    data.eval.length > 0 ? await read({ files: data.eval, labels: found?.labels ?? given, maxSamples: data.eval_max_samples }) : undefined;
  const labels = withModelOrder(found?.labels ?? held?.labels ?? [], base.model, known);
  const placed = (examples: readonly Sample[] = []) => examples.map(place(labels));
  if (needsTraining && !['number', 'labels'].includes(objectiveCatalog[recipe.task].target) && labels.length < 2)
    throw oneLabel(recipe, labels);
  if (needsTraining && objectiveCatalog[recipe.task].target === 'labels' && labels.length === 0) throw noLabel();
  if (held || validation === 0) return { train: placed(found?.examples), held: placed(held?.examples), labels };
  const all = placed(found?.examples);
  const split = groupOf
    ? splitGroups(all.map(groupOf), { validation, seed })
    : splitSamples({ count: all.length, validation, seed, labels: all.map(({ label }) => label) });
  const pick = (indices: readonly number[]) => indices.flatMap(index => all[index] ?? []);
  logSplit(job, { held: split.validation.length, trained: split.train.length });
  return { train: pick(split.train), held: drawFrom(pick(split.validation), { count: data.eval_max_samples, seed }), labels };
}

const noLabel = (): DataError =>
  new DataError({
    problem: 'no sample has a label',
    advice: 'Give some samples a list of labels, or set data: labels to columns of 0 and 1',
  });

/** Warns of labels that the recipe or the data names but no training sample has. */
function reportUnseen(
  { recipe: { data, task }, declaresLabels = false, job }: SetUpParams,
  counts: readonly number[],
  labels: readonly string[],
): void {
  const unseen = unseenLabels(
    data.labels,
    task,
    labels.filter((_, i) => (counts[i] ?? 0) > 0),
  );
  if (unseen.length > 0) job.log('warning', describeUnseen(unseen, task, !declaresLabels));
}

/** Returns label weights that compensate for imbalance, and logs them. @param samples number of samples with labels */
function balancedWeights({ recipe, job }: SetUpParams, counts: readonly number[], samples: number, labels: readonly string[]): number[] {
  const weights = classWeightsOf(counts, objectiveCatalog[recipe.task].target === 'labels' ? samples : undefined);
  const shown = labels.map((name, i) => `${name} ${(weights[i] ?? 1).toPrecision(3)}`);
  job.log('info', `class weights: ${shown.slice(0, 20).join(', ')}${shown.length > 20 ? ' …' : ''}`);
  return weights;
}

function oneLabel({ task }: Recipe, labels: readonly string[]): DataError {
  const { target, reads } = objectiveCatalog[task];
  const [what, others] =
    target === 'tags' ? ['word', ''] : ['sample', reads === 'images' ? '' : ', or set task: sequence_regression where labels are numbers'];
  return new DataError({
    problem: `every ${what} has the label "${labels[0] ?? ''}"`,
    advice: `Give ${what}s of at least two labels${others}`,
  });
}

/** A description of the files that data.train may name, for messages. */
function filesOf({ task }: Recipe): string {
  const { reads, target } = objectiveCatalog[task];
  if (reads === 'images') return 'a folder of images';
  return target === 'tags' ? 'a conll, json, jsonl, parquet or arrow file' : 'a json, jsonl, csv, tsv, parquet or arrow file';
}

/** Keeps the label order of the adapter, or else of the model, and thus its head, if its labels are exactly these. */
function withModelOrder(labels: readonly string[], model: AnyModel, ofAdapter: readonly string[] = []): readonly string[] {
  const orders = [ofAdapter, ...(model.kind === 'classifier' ? [model.labels] : [])];
  return orders.find(order => order.length === labels.length && labels.every(name => order.includes(name))) ?? labels;
}

/** Returns the model with a head for these labels. */
export function modelFor(
  { recipe, base, job }: ReadParams,
  labels: readonly string[],
  imageSize: readonly [number, number] | undefined,
): ClassifierModel {
  const { problem } = objectiveCatalog[recipe.task];
  const model = loadModel(base.folder.config, {
    // One number needs one output, whatever labels the config has.
    ...(hasOneOutput(objectiveCatalog[recipe.task]) ? { labels: ['LABEL_0'] } : labels.length > 0 ? { labels } : {}),
    problem,
    headSeed: recipe.seed,
    imageSize,
  });
  if (model.kind !== 'classifier') throw new Error(`${model.family} became another kind of model`);
  checkWeights(model, base.folder.weights);
  logNewHead(job, model);
  return model;
}
