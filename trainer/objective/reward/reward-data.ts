/** The model of a run on rewards, and its samples. */
import type { TextGroup } from '../../data/text-groups/load-groups.ts';
import type { Pair } from '../../data/types.ts';
import { headedClass } from '../../model/architectures.ts';
import { architectureOf, loadModel } from '../../model/load-model.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import { RunError } from '../../run-error.ts';
import type { ReadParams } from '../task-setup.ts';

/** The language model of the recipe with a head that gives one number. @throws RunError 'wrong-task' */
export function rewardModelFor({ recipe, base: { model: given, folder }, job }: ReadParams): ClassifierModel {
  const architecture = architectureOf(folder.config);
  const isEncoder = given.kind === 'classifier' && (given.encoder !== undefined || given.input.kind === 'image');
  if (isEncoder || architecture === undefined || (given.kind === 'causal' && headedClass(architecture, 'regression') === architecture))
    throw new RunError(
      'wrong-task',
      isEncoder
        ? `the model is a ${given.family} that writes no answers; a reward model starts from one that does`
        : `the model is a ${architecture ?? given.family}, for which Transformers has no class with a head for whole texts`,
      'Name a language model such as Llama, Qwen, Gemma, Mistral or SmolLM, or a reward model made from one',
    );
  const model = loadModel(folder.config, { problem: 'regression', labels: ['LABEL_0'], headSeed: recipe.seed });
  if (model.kind !== 'classifier') throw new Error(`${model.family} became another kind of model`);
  checkWeights(model, folder.weights);
  if (model.heads.some(({ weight }) => weight.initial))
    job.log('info', `a new head of one number is trained from the start: ${model.heads.map(({ weight }) => weight.name).join(', ')}`);
  return model;
}

/** Pairs as texts that are compared, the better answer first, with their margins. */
export const groupsOf = (pairs: readonly Pair[]): TextGroup[] =>
  pairs.map(({ chosen, rejected, margin = 0, file, line }) => ({ texts: [chosen.ids, rejected.ids], score: margin, file, line }));
