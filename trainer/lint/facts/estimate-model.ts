/** Computes memory, fitting settings and programs from a recipe and the headers of its model. */
import { checkMaxLength } from '../../data/example/max-length.ts';
import { readModelHeaders } from '../../hub/open-model.ts';
import { loadModel } from '../../model/load-model.ts';
import { type EstimateParams, estimateRecipe, type RecipeEstimate } from '../../plan/memory/predict.ts';
import { type MemoryPlanning, planMemory } from '../../plan/memory/propose-settings.ts';
import { type DataPlaces, seesImages } from '../../plan/sees-images.ts';
import { positionsOf } from './model-facts.ts';

/** The path of a model, whose headers are read on demand; or the headers themselves, if they are not in a file. */
export type HeadersSource = { readonly model: string } | Pick<EstimateParams, 'headers'>;

export type ModelEstimateParams = Omit<EstimateParams, 'headers' | 'teacherConfig' | 'judgeConfig' | 'known'> &
  HeadersSource & {
    readonly teacher?: HeadersSource | undefined;
    /** The reward model that scores answers. */
    readonly judge?: HeadersSource | undefined;
    /** The places of the recipe's data, whose first samples show whether it brings images; if left out, `seesImages` says it. */
    readonly dataIn?: DataPlaces | undefined;
  };
export type ModelPlanParams = ModelEstimateParams & { readonly usableBytes: number };

/** The headers. Rejects with ModelFileError if they cannot be read. */
export const headersOf = async (source: HeadersSource): Promise<EstimateParams['headers']> =>
  'model' in source ? readModelHeaders(source.model) : source.headers;

/** Estimates the memory of a recipe. Rejects with errors of `estimateRecipe` and of {@link headersOf}, and for texts that are too long. */
export const estimateModel = async (params: ModelEstimateParams, known?: EstimateParams['known']): Promise<RecipeEstimate> =>
  estimateRecipe({ ...params, ...(await factsOf(params)), known });

/** Plans settings that fit. Rejects with errors of `planMemory` and of {@link headersOf}, and for texts that are too long. */
export const planModel = async (params: ModelPlanParams, known?: EstimateParams['known']): Promise<MemoryPlanning> =>
  planMemory({ ...params, ...(await factsOf(params)), known });

async function factsOf({
  teacher,
  judge,
  dataIn,
  ...source
}: ModelEstimateParams): Promise<Pick<EstimateParams, 'headers' | 'seesImages' | 'teacherConfig' | 'judgeConfig'>> {
  const headers = await headersOf(source);
  // A run refuses it too, so memory of the longest possible texts would be that of no run.
  const maxPositions = positionsOf(loadModel(headers.config));
  if (maxPositions !== undefined) checkMaxLength(source.recipe.max_length, maxPositions);
  return {
    headers,
    seesImages: dataIn ? await seesImages(source.recipe, headers.config, dataIn) : source.seesImages,
    teacherConfig: teacher && (await headersOf(teacher)).config,
    judgeConfig: judge && (await headersOf(judge)).config,
  };
}
