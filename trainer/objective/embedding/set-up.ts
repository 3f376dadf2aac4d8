/** Sentence embeddings: texts that belong together or apart, in batches of few shapes, and their evaluation. */
import { checkMaxLength } from '../../data/example/max-length.ts';
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import { readSentenceModules } from '../../format/sentence-modules.ts';
import { DEFAULT_POOLING } from '../../model/embedder.ts';
import { loadModel } from '../../model/load-model.ts';
import { type ClassifierModel, inputOf, type Pooling } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { RunError } from '../../run-error.ts';
import { groupSetup } from '../group-setup.ts';
import { ownParts, type ReadParams, type SetUpTask } from '../task-setup.ts';
import { describeAsked, embeddingEvaluator } from './embedding-evaluator.ts';
import { embeddingTask } from './embedding-task.ts';
import { loadGroupData } from './group-data.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const { embedding } = recipe;
  const model = await modelFor(params);
  checkMaxLength(recipe.max_length, inputOf(model, 'tokens').maxPositions);
  const form = groupForm(embedding);
  const rowsPerSample = textsOf(form);
  const data = await loadGroupData(params, part);
  const said = form.maxScore === undefined ? describeAsked(data.held, model.hiddenSize) : undefined;
  if (said !== undefined) params.job.log('info', said);
  const { mini_batch_size: miniBatch } = embedding;
  if (miniBatch !== undefined)
    params.job.log('info', `texts of ${miniBatch} samples pass through the model at a time, twice; the loss compares the whole batch`);
  return groupSetup({
    ...data,
    recipe,
    model,
    task: embeddingTask(model, embedding),
    rowsPerSample,
    parts: ownParts(params),
    evaluatorOf: source => embeddingEvaluator({ source, groups: data.held, rowsPerSample, isScored: form.maxScore !== undefined }),
  });
};

/** The encoder without its head. @throws RunError 'wrong-task', 'unsupported' */
export async function modelFor({ recipe, base, job }: ReadParams): Promise<ClassifierModel> {
  if (base.model.kind !== 'classifier' || !base.model.encoder)
    throw new RunError(
      'wrong-task',
      `the model is a ${base.model.family}, which gives no vectors of texts here`,
      'Name an encoder of text, such as BERT, RoBERTa, DeBERTa or ModernBERT',
    );
  const pooling = await poolingOf(recipe, base.folder.dir);
  job.log('info', `vectors: ${poolings[pooling.mode]}${pooling.normalize ? ', brought to length 1' : ''}`);
  const model = loadModel(base.folder.config, { problem: 'embedding', pooling });
  if (model.kind !== 'classifier') throw new Error(`${model.family} became another kind of model`);
  const wide = recipe.embedding.matryoshka_dims.find(dim => dim > model.hiddenSize);
  if (wide !== undefined)
    throw new RunError(
      'unsupported',
      `embedding.matryoshka_dims has ${wide}, but the vectors of the model have ${model.hiddenSize} numbers`,
      `Name dimensions of at most ${model.hiddenSize}`,
    );
  checkWeights(model, base.folder.weights);
  return model;
}

const poolings: Readonly<Record<Pooling['mode'], string>> = {
  mean: 'the mean of the states of all tokens',
  cls: 'the state of the first token',
  max: 'the largest value of each feature over all tokens',
};

/** The pooling of the recipe, else of the model's folder, else the mean of all tokens, brought to length 1. */
async function poolingOf({ embedding: { pooling, normalize } }: Recipe, dir: string): Promise<Pooling> {
  const found = (await readSentenceModules(dir)) ?? DEFAULT_POOLING;
  return { mode: pooling === 'auto' ? found.mode : pooling, normalize: normalize ?? found.normalize };
}
