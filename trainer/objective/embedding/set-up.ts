/** Sets up sentence embeddings: texts that belong together or apart, in batches of few shapes, and their evaluation. */
import { checkMaxLength } from '../../data/example/max-length.ts';
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import type { TextGroup } from '../../data/text-groups/load-groups.ts';
import { poolingIn } from '../../format/sentence-modules.ts';
import { loadModel } from '../../model/load-model.ts';
import { type ClassifierModel, inputOf, ModelConfigError, vectorWidth } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import type { Pooling, PoolingMode } from '../../protocol/pooling.ts';
import { RunError } from '../../run-error.ts';
import { groupSetup } from '../group-setup.ts';
import { checkVocabulary } from '../load-data.ts';
import { ownParts, type ReadParams, type SetUpTask } from '../task-setup.ts';
import { describeAsked, embeddingEvaluator } from './embedding-evaluator.ts';
import { embeddingTask } from './embedding-task.ts';
import { loadGroupData } from './group-data.ts';
import { poolingOf } from './recipe-pooling.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const { embedding } = recipe;
  const model = await modelFor(params);
  const known = inputOf(model, 'tokens');
  checkMaxLength(recipe.max_length, known.maxPositions);
  const form = groupForm(embedding);
  const rowsPerSample = textsOf(form);
  const data = await loadGroupData(params, part);
  for (const groups of [data.train, data.held]) checkVocabulary(textsIn(groups), known);
  const said = form.maxScore === undefined ? describeAsked(data.held, vectorWidth(model)) : undefined;
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

/** Each text of the samples, with the place of its sample. */
function* textsIn(groups: Iterable<TextGroup>): Generator<Pick<TextGroup, 'file' | 'line'> & { readonly ids: Int32Array }> {
  for (const { texts, file, line } of groups) for (const ids of texts) yield { ids, file, line };
}

/** The model without its head. @throws RunError 'wrong-task', 'unsupported' */
export async function modelFor({ recipe, base, job }: ReadParams): Promise<ClassifierModel> {
  const pooling = poolingOf(recipe, poolingIn(base.folder));
  const { mode, dense = [], normalize } = pooling;
  const layers = dense.length === 0 ? '' : `, through ${dense.map(({ at, width, out }) => `${at} (${width} → ${out})`).join(' and ')}`;
  job.log('info', `vectors: ${poolings[mode]}${layers}${normalize ? ', brought to length 1' : ''}`);
  const model = vectorsOf(base, pooling);
  const width = vectorWidth(model);
  const wide = recipe.embedding.matryoshka_dims.find(dim => dim > width);
  if (wide !== undefined)
    throw new RunError(
      'unsupported',
      `embedding.matryoshka_dims has ${wide}, but the vectors of the model have ${width} numbers`,
      `Name dimensions of at most ${width}`,
    );
  checkWeights(model, base.folder.weights);
  return model;
}

/** @throws RunError 'wrong-task' */
function vectorsOf({ folder, model: { family } }: ReadParams['base'], pooling: Pooling): ClassifierModel {
  try {
    const model = loadModel(folder.config, { problem: 'embedding', pooling });
    if (model.kind === 'classifier') return model;
    throw new Error(`${family} became another kind of model`);
  } catch (error) {
    if (!(error instanceof ModelConfigError)) throw error;
    throw new RunError('wrong-task', error.message, 'Name an encoder of text without a head, or a language model');
  }
}

const poolings: Readonly<Record<PoolingMode, string>> = {
  mean: 'the mean of the states of all tokens',
  cls: 'the state of the first token',
  max: 'the largest value of each feature over all tokens',
  lasttoken: 'the state of the last token',
};
