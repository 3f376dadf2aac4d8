/** The requests to a reading process, in a table that is typed for both ends. Parameters and answers are plain data. */
import { plannedEngine } from '../catalog/engines.ts';
import { setImageLibrary } from '../data/image/image-library.ts';
import { importSharp } from '../engine/install/image-packages.ts';
import { knownPrograms } from '../engine/known-programs.ts';
import { DataCache, type DataFact, type DataFactParams } from '../lint/facts/data-facts.ts';
import { describeData } from '../lint/facts/describe-data.ts';
import { describeModel } from '../lint/facts/describe-model.ts';
import { estimateModel, type ModelEstimateParams, type ModelPlanParams, planModel } from '../lint/facts/estimate-model.ts';
import { FolderCache } from '../lint/facts/folder-facts.ts';
import { ModelCache } from '../lint/facts/model-facts.ts';
import { readDataFact } from '../lint/facts/read-data-fact.ts';
import { readModelFacts } from '../lint/facts/read-model-facts.ts';
import { tasksOfModel } from '../lint/facts/tasks-of-model.ts';
import { lintConfig } from '../lint/lint.ts';
import { type NewRecipeQuestion, newRecipe } from '../lint/new-recipe.ts';
import { type ParseOptions, parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import { printGraph } from './print-graph.ts';

/** The compiled programs that an estimate uses. */
interface Compiled {
  /** The cache folder of this machine, whose compiled programs then count; if a card is named, those for the card. */
  readonly compiledIn?: string | undefined;
}

const knownTo = ({ compiledIn, card, recipe, engine = plannedEngine(recipe.engine) }: ModelEstimateParams & Compiled) =>
  compiledIn === undefined ? undefined : knownPrograms(engine, compiledIn, card);

const estimate = (params: ModelEstimateParams & Compiled) => estimateModel(params, knownTo(params));
const plan = (params: ModelPlanParams & Compiled) => planModel(params, knownTo(params));

function dataFact({ cacheDir, ...params }: DataFactParams & { readonly cacheDir: string }): Promise<DataFact> {
  setImageLibrary(() => importSharp(cacheDir));
  return readDataFact(params);
}

const folders = new FolderCache();
const models = new Map<string, ModelCache>();

export const readerRequests = {
  /** Describes a model for a list. */
  describe: ({ model }: { readonly model: string }) => describeModel(model),
  tasks: ({ model }: { readonly model: string }) => tasksOfModel(model),
  /** Describes a data file for a list. */
  describeData: ({ file }: { readonly file: string }) => describeData(file),
  recipe: ({ text, ...options }: ParseOptions & { readonly text: string }) => parseRecipe(text, options),
  newRecipe: ({ cacheDir, ...params }: NewRecipeQuestion & { readonly cacheDir: string }) =>
    newRecipe({ models: modelsOf(cacheDir), data: new DataCache(fact => dataFact({ ...fact, cacheDir }), cacheDir) }, params),
  estimate,
  plan,
  graph: printGraph,
  modelFacts: ({ model }: { readonly model: string }) => readModelFacts(model),
  dataFact,
  lintConfig: ({ cacheDir, ...document }: { readonly text: string; readonly file: string; readonly cacheDir: string }) =>
    lintConfig(document, { folders, models: modelsOf(cacheDir) }),
} as const;

export type ReaderRequestName = keyof typeof readerRequests;
export type ReaderParamsOf<Name extends ReaderRequestName> = Parameters<(typeof readerRequests)[Name]>[0];
export type ReaderAnswerOf<Name extends ReaderRequestName> = Awaited<ReturnType<(typeof readerRequests)[Name]>>;

function modelsOf(cacheDir: string): ModelCache {
  const known = models.get(cacheDir) ?? new ModelCache(cacheDir, readModelFacts);
  models.set(cacheDir, known);
  return known;
}
