/** The model and the samples of a reward model's run. */
import type { TextGroup } from '../../data/text-groups/load-groups.ts';
import type { Pair, TokenSequence } from '../../data/types.ts';
import { headedClass } from '../../model/architectures.ts';
import { architectureOf, loadModel } from '../../model/load-model.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import { RunError } from '../../run-error.ts';
import { logNewHead } from '../new-head.ts';
import type { ReadParams } from '../task-setup.ts';

/** True if the model is a text encoder, which reads prompt and answer as two texts. */
export const isEncoder = ({ encoder }: Pick<ClassifierModel, 'encoder'>): boolean => encoder !== undefined;

/** The recipe's model with a head for one number: a language model or a text encoder. @throws RunError 'wrong-task' */
export function rewardModelFor({ recipe, base: { model: given, folder }, job }: ReadParams): ClassifierModel {
  const architecture = architectureOf(folder.config);
  const sees = given.kind === 'classifier' && given.input.kind === 'image';
  if (sees || architecture === undefined || (given.kind === 'causal' && headedClass(architecture, 'regression') === architecture))
    throw new RunError(
      'wrong-task',
      sees
        ? `the model is a ${given.family} that reads no text`
        : `the model is a ${architecture ?? given.family}, which takes no head for whole texts`,
      'Name a language model such as Llama, Qwen, Gemma 3, Mistral or SmolLM, or an encoder of text such as DeBERTa or BERT',
    );
  const model = loadModel(folder.config, { problem: 'regression', labels: ['LABEL_0'], headSeed: recipe.seed });
  if (model.kind !== 'classifier') throw new Error(`${model.family} became another kind of model`);
  checkWeights(model, folder.weights);
  logNewHead(job, model);
  return model;
}

/** Converts pairs to texts to compare, the better answer first, with their margins. @param hasSegments see `isEncoder` */
export const groupsOf = (pairs: readonly Pair[], hasSegments = false): TextGroup[] =>
  pairs.map(({ chosen, rejected, margin = 0, file, line }) => ({
    texts: [chosen.ids, rejected.ids],
    ...(hasSegments && { secondAts: [startOf(chosen), startOf(rejected)] }),
    score: margin,
    file,
    line,
  }));

/** The index of an answer's first token; without a prompt, there is no second text. */
export const startOf = ({ ids, train }: TokenSequence): number => train.indexOf(1) || ids.length;
