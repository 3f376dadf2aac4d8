/** Opens a recipe's teacher and compares its vocabulary with the model's. */
import type { Tokenizer } from '../../format/tokenizer/tokenizer.ts';
import { type BaseFiles, openModelFolder } from '../../job/open-base.ts';
import { loadModel } from '../../model/load-model.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import { RunError } from '../../run-error.ts';
import type { SetUpParams } from '../task-setup.ts';

export interface Teacher {
  /** The name for messages. */
  readonly name: string;
  readonly model: CausalModel;
  /** The folder; the caller closes `folder.weights`. */
  readonly folder: BaseFiles['folder'];
  readonly fingerprint: string;
  /** Number of tokens that both models know, from the first on: padded embeddings have more. */
  readonly vocabulary: number;
}

/** @throws RunError 'wrong-task', 'unsupported'; errors of opening a model */
export async function openTeacher(params: SetUpParams, name: string): Promise<Teacher> {
  const { recipe, base, job } = params;
  const folder = await openModelFolder(params, { model: name, revision: recipe.distillation.teacher_revision });
  try {
    const model = loadModel(folder.config);
    checkWeights(model, folder.weights);
    if (model.kind !== 'causal' || base.model.kind !== 'causal')
      throw new RunError(
        'wrong-task',
        `the teacher ${name} is a model of the family ${model.family}, which predicts no next token`,
        'Name a language model',
      );
    const [own, others] = await Promise.all([base.folder.loadTokenizer(), folder.loadTokenizer()]);
    const difference = vocabularyDifference(own, others);
    if (difference !== undefined)
      throw new RunError(
        'unsupported',
        `the teacher ${name} has a different vocabulary from ${recipe.model}: ${difference}`,
        'Choose a teacher of the same family: token ids must mean the same in both',
      );
    const vocabulary = Math.min(model.vocabularySize, base.model.vocabularySize);
    if (recipe.distillation.top_k > vocabulary)
      throw new RunError(
        'unsupported',
        `distillation.top_k is ${recipe.distillation.top_k}, but both models have only ${vocabulary} tokens in common`,
        `Set distillation.top_k to at most ${vocabulary}`,
      );
    const fingerprint = await folder.weights.fingerprint();
    if (fingerprint === base.fingerprint)
      job.log('warning', `the teacher ${name} has the weights of the model itself: training toward it only keeps the model as it is`);
    return { name, model, folder, fingerprint, vocabulary };
  } catch (error) {
    await folder.weights.close();
    throw error;
  }
}

/** Compares the tokens that both vocabularies have. Returns the first difference and their number; undefined if there is none. */
export function vocabularyDifference(own: Pick<Tokenizer, 'token' | 'vocabularySize'>, others: typeof own): string | undefined {
  const shared = Math.min(own.vocabularySize, others.vocabularySize);
  let [first, count] = [-1, 0];
  for (let id = 0; id < shared; id++) {
    if (own.token(id) === others.token(id)) continue;
    if (count++ === 0) first = id;
  }
  const show = (text: string | undefined): string => (text === undefined ? 'no token' : JSON.stringify(text));
  if (count === 0) return undefined;
  return `token ${first} is ${show(own.token(first))} in the model and ${show(others.token(first))} in the teacher (${count} of ${shared} differ)`;
}
