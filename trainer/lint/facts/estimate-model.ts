/** Computes memory, fitting settings and programs from a recipe and the headers of its model. */
import { readModelHeaders } from '../../hub/open-model.ts';
import { type EstimateParams, estimateRecipe, type RecipeEstimate } from '../../plan/memory/predict.ts';
import { type MemoryPlanning, planMemory } from '../../plan/memory/propose-settings.ts';

/** The path of a model, whose headers are read on demand; or the headers themselves, if they are not in a file. */
export type HeadersSource = { readonly model: string } | Pick<EstimateParams, 'headers'>;

export type ModelEstimateParams = Omit<EstimateParams, 'headers' | 'teacherConfig' | 'judgeConfig' | 'known'> &
  HeadersSource & {
    readonly teacher?: HeadersSource | undefined;
    /** The reward model that scores answers. */
    readonly judge?: HeadersSource | undefined;
  };
export type ModelPlanParams = ModelEstimateParams & { readonly usableBytes: number };

/** The headers. Rejects with ModelFileError if they cannot be read. */
export const headersOf = async (source: HeadersSource): Promise<EstimateParams['headers']> =>
  'model' in source ? readModelHeaders(source.model) : source.headers;

/** Estimates the memory of a recipe. Rejects with errors of `estimateRecipe` and of {@link headersOf}. */
export const estimateModel = async (params: ModelEstimateParams, known?: EstimateParams['known']): Promise<RecipeEstimate> =>
  estimateRecipe({ ...params, ...(await factsOf(params)), known });

/** Plans settings that fit. Rejects with errors of `planMemory` and of {@link headersOf}. */
export const planModel = async (params: ModelPlanParams, known?: EstimateParams['known']): Promise<MemoryPlanning> =>
  planMemory({ ...params, ...(await factsOf(params)), known });

const factsOf = async ({
  teacher,
  judge,
  ...source
}: ModelEstimateParams): Promise<Pick<EstimateParams, 'headers' | 'teacherConfig' | 'judgeConfig'>> => ({
  headers: await headersOf(source),
  teacherConfig: teacher && (await headersOf(teacher)).config,
  judgeConfig: judge && (await headersOf(judge)).config,
});
