/** Opens a recipe's reward model, which scores the answers that an evaluation writes. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { tunedModel } from '../../adapter/read-adapter.ts';
import { givesRewards, objectiveCatalog } from '../../catalog/objectives.ts';
import { answerReader, type TokenizeAnswer } from '../../data/load/load-pairs.ts';
import type { ChatRenderer } from '../../data/types.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import { type BaseFiles, type ModelName, withModelFolder, withTokenizer } from '../../job/open-base.ts';
import type { ConfigJson } from '../../model/config-json.ts';
import { type ClassifierModel, inputOf, scoresTexts } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { isRunFolder, readRunRecipe } from '../../run/run-folder.ts';
import { RunError } from '../../run-error.ts';
import { datasetSettings } from '../load-data.ts';
import { isEncoder } from '../reward/reward-data.ts';

export interface RewardModel {
  /** Its name in the recipe. */
  readonly name: string;
  readonly model: ClassifierModel;
  /** The model folder with its weights. */
  readonly base: ModelName;
  /** The run that tunes it; undefined for a model folder. */
  readonly adapterPath: string | undefined;
  /** Maximum length in tokens; longer texts are cut at their end. */
  readonly maxLength: number;
  readonly tokenize: TokenizeAnswer;
  readonly chatRenderer: ChatRenderer | undefined;
}

/** Opens its folder and closes it again: its weights are read when it scores. @throws RunError 'wrong-task'; errors of opening a model */
export async function openRewardModel(scope: RecipeScope, name: string, now: BaseFiles['now']): Promise<RewardModel> {
  const { base, adapterPath, recipe } = await findRewardModel(scope, name);
  return withModelFolder(scope, base, async folder => {
    const model = await modelIn(name, folder.config, adapterPath);
    checkWeights(model, folder.weights);
    checkHead(name, model, adapterPath);
    const { tokenizer, chatRenderer } = await withTokenizer({ folder, model, now });
    const { maxPositions } = inputOf(model, 'tokens');
    const maxLength = Math.min(recipe?.max_length ?? maxPositions, maxPositions);
    const settings = datasetSettings({ recipe: recipe ?? scope.recipe }, undefined);
    const tokenize = answerReader({ settings, tokenizer, maxLength, ...(isEncoder(model) && { segments: tokenizer }) });
    return { name, model, base, adapterPath, maxLength, tokenize, chatRenderer };
  });
}

interface FoundModel {
  readonly base: ModelName;
  readonly adapterPath: string | undefined;
  /** The recipe, if it is a run. */
  readonly recipe: Recipe | undefined;
}

/** Finds the reward model by name. A run means its base model with the trained values. */
async function findRewardModel({ context }: RecipeScope, name: string): Promise<FoundModel> {
  const local = path.resolve(context.baseDir, name);
  if (!existsSync(local) || !(await isRunFolder(local)))
    return { base: { model: name, revision: 'main' }, adapterPath: undefined, recipe: undefined };
  const recipe = await readRunRecipe(local);
  if (!givesRewards(recipe.task)) throw noRewardModel(name, `is a run of the task ${recipe.task} (${objectiveCatalog[recipe.task].label})`);
  return { base: { model: recipe.model, revision: recipe.revision }, adapterPath: local, recipe };
}

async function modelIn(name: string, config: ConfigJson, adapterPath: string | undefined): Promise<ClassifierModel> {
  const model = await tunedModel(config, adapterPath);
  if (!scoresTexts(model)) throw noRewardModel(name, `is a model of the family ${model.family}, without a head of one number for a text`);
  return model;
}

/** Checks that the head was trained: a randomly initialized one cannot score. @throws RunError 'wrong-task' */
function checkHead(name: string, model: ClassifierModel, adapterPath: string | undefined): void {
  const fresh = model.parameters.filter(({ initial }) => initial);
  if (adapterPath === undefined && fresh.length > 0)
    throw noRewardModel(name, `has no trained head: ${fresh.map(({ name: tensor }) => tensor).join(', ')} is not in its weights`);
}

const noRewardModel = (name: string, problem: string): RunError =>
  new RunError(
    'wrong-task',
    `the reward model ${name} ${problem}`,
    'Set eval_generation.reward_model to a run of the task reward, or to a model with a head of one number',
  );
