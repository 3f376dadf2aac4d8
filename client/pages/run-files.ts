/** Parses the files of a run folder for the pages. Files may be damaged or from another version; invalid parts are omitted. */
import { z } from 'zod';
import { parseRecipe } from '../../trainer/protocol/recipe/parse-recipe.ts';
import { givenBy, settings } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { hasEffect } from '../../trainer/protocol/recipe/rules/ignored-rules.ts';
import type { CoverageView, MemoryPlan, NewestEvaluation, RanksView, RecipeEntry, SummaryView } from '../../trainer/protocol/view/run.ts';

const coverageSchema: z.ZodType<CoverageView> = z.object({
  method: z.string(),
  trainable: z.number(),
  parameters: z.number(),
  share: z.number(),
  modules: z.array(
    z.object({
      module: z.string(),
      rows: z.number(),
      trainedRows: z.number(),
      unit: z.literal('columns').optional(),
      parameters: z.number(),
      trainable: z.number(),
    }),
  ),
});

const memorySchema: z.ZodType<MemoryPlan> = z.object({
  predicted: z.object({
    weightsBytes: z.number(),
    trainedBytes: z.number(),
    gradientBytes: z.number(),
    optimizerBytes: z.number(),
    offloadedBytes: z.number().optional(),
    activationBytes: z.number(),
    source: z.enum(['compiler', 'model']).optional(),
    engineOverheadBytes: z.number(),
    totalBytes: z.number(),
  }),
  recompute: z.string(),
  device: z.enum(['cpu', 'gpu']),
  held: z.object({ weightsBytes: z.number(), trainedBytes: z.number(), gradientBytes: z.number(), optimizerBytes: z.number() }).optional(),
  baselineBytes: z.number(),
  availableBytes: z.number(),
  usableBytes: z.number().optional(),
  fits: z.boolean(),
});

const ranksSchema: z.ZodType<RanksView> = z.object({
  step: z.number(),
  ranks: z.array(
    z.object({
      rank: z.number(),
      host: z.string(),
      pid: z.number(),
      residentBytes: z.number(),
      peakBytes: z.number(),
      secondsPerUpdate: z.number(),
      waitedSeconds: z.number(),
      exchangeSeconds: z.number(),
      bytesPerUpdate: z.number(),
    }),
  ),
});

const evaluationSchema = z.object({
  loss: z.number(),
  perplexity: z.number().nullish().transform(orAbsent),
  tokenAccuracy: z.number().optional(),
  samples: z.number(),
  labels: z
    .object({
      accuracy: z.number(),
      majority: z.number(),
      confusion: z.record(z.string(), z.record(z.string(), z.number())),
    })
    .optional(),
  measures: z.record(z.string(), z.number()).optional(),
});

const newestSchema: z.ZodType<NewestEvaluation> = z.object({
  step: z.number(),
  before: evaluationSchema.nullable(),
  newest: evaluationSchema,
});

const summarySchema: z.ZodType<SummaryView> = z.object({
  state: z.enum(['finished', 'stopped']),
  checkpoint: z.string().nullable(),
  steps: z.number(),
  totalSteps: z.number(),
  before: evaluationSchema.nullable(),
  after: evaluationSchema.nullable(),
  forgetting: z.object({ base: z.number(), tuned: z.number(), divergence: z.number(), targets: z.number() }).optional(),
  trainable: z.number(),
  trainableShare: z.number(),
  secondsPerStep: z.number().nullable(),
  tokensPerSecond: z.number(),
  memory: z.object({ mem_M: z.number(), mem_FT: z.number(), mem_Aux: z.number(), mem_TTL: z.number(), mem: z.number() }).nullable(),
  engine: z.string(),
  recompute: z.string(),
});

/** Turns null into undefined: JSON has no infinity, so the perplexity of an untrained model may be null. */
function orAbsent(value: number | null | undefined): number | undefined {
  return value ?? undefined;
}

const parse = <T>(schema: z.ZodType<T>, text: string): T | undefined => {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

export const parseCoverage = (text: string): CoverageView | undefined => parse(coverageSchema, text);
export const parseMemory = (text: string): MemoryPlan | undefined => parse(memorySchema, text);
export const parseRanks = (text: string): RanksView | undefined => parse(ranksSchema, text);
export const parseEvaluation = (text: string): NewestEvaluation | undefined => parse(newestSchema, text);
export const parseSummary = (text: string): SummaryView | undefined => parse(summarySchema, text);

/** Splits recipe.yaml into its settings, without those that have no effect on this run. A setting is at its default if removing it would change nothing. */
export function parseRecipeFile(text: string): { readonly text: string; readonly entries: readonly RecipeEntry[] } {
  const { recipe, resolved } = parseRecipe(text);
  const given = givenBy(resolved);
  const entries = Object.entries(settings).flatMap(([key, setting]): RecipeEntry[] => {
    const value = given[key];
    if (value === undefined || (recipe !== undefined && !hasEffect(recipe, key))) return [];
    const isDefault = setting.presence !== 'required' && show(setting.resolveDefault(given)) === show(value);
    return [{ key, value: show(value), isDefault, doc: setting.doc }];
  });
  return { text, entries };
}

const show = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
