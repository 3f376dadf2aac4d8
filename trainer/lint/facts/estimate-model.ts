/** Computations from a recipe and the headers of its model: memory, settings that fit, programs. */
import { readModelHeaders } from '../../hub/open-model.ts';
import { type EstimateParams, estimateRecipe, type RecipeEstimate } from '../../plan/memory/predict.ts';
import { type MemoryPlanning, planMemory } from '../../plan/memory/propose-settings.ts';

/** The path of a model, whose headers are read where they are needed; or the headers themselves, where no file has them. */
export type HeadersSource = { readonly model: string } | Pick<EstimateParams, 'headers'>;

export type ModelEstimateParams = Omit<EstimateParams, 'headers' | 'teacherConfig' | 'judgeConfig' | 'known'> &
  HeadersSource & {
    readonly teacher?: HeadersSource | undefined;
    /** The reward model that scores answers. */
    readonly judge?: HeadersSource | undefined;
  };
export type ModelPlanParams = ModelEstimateParams & { readonly usableBytes: number };

/** Rejects with ModelFileError where they can't be read. */
export const headersOf = async (source: HeadersSource): Promise<EstimateParams['headers']> =>
  'model' in source ? readModelHeaders(source.model) : source.headers;

/** Rejects as `estimateRecipe` throws, and as {@link headersOf}. */
export const estimateModel = async (params: ModelEstimateParams, known?: EstimateParams['known']): Promise<RecipeEstimate> =>
  estimateRecipe({ ...params, ...(await factsOf(params)), known });

/** Rejects as `planMemory` throws, and as {@link headersOf}. */
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
