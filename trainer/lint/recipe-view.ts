/** A recipe as the editor shows it: its text, what the parser says, and the facts of model, data and machine that it speaks of. */
import type { RecipeEstimate } from '../plan/memory/predict.ts';
import { type ParsedRecipe, parseRecipe } from '../protocol/parse-recipe.ts';
import { type Located, locate } from '../protocol/recipe/located.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import type { DataCache, DataFact } from './facts/data-facts.ts';
import type { ModelCache, ModelFacts } from './facts/model-facts.ts';
import { type RunFacts, readRunFacts } from './facts/run-facts.ts';

export interface RecipeView {
  readonly text: string;
  /** Absolute. */
  readonly file: string;
  readonly baseDir: string;
  readonly parsed: ParsedRecipe;
  readonly root?: Located;
  /** Right values and defaults for all others; `model` may be missing. */
  readonly values: Partial<Recipe> & Omit<Recipe, 'model'>;
  /** Undefined where the recipe names none. */
  readonly model?: ModelFacts;
  readonly data: readonly DataFact[];
  readonly runs: RunFacts;
  /** Where the recipe will run, if that is another machine; `availableBytes` is then Infinity, as nothing is known of it. */
  readonly farDaemon?: FarDaemon;
  readonly availableBytes: number;
  /** What a run here would compute on. */
  readonly device: 'cpu' | 'gpu';
  /** Undefined until it has been computed. */
  readonly estimate?: RecipeEstimate;
}

/** A daemon on another machine, which reads models and data of its own. */
export interface FarDaemon {
  readonly url: string;
  /** Over there, where relative paths start; the name of the folder here where none is given. */
  readonly folder?: string;
}

export interface ViewSources {
  readonly models: ModelCache;
  readonly data: DataCache;
  readonly availableBytes: () => number;
  readonly hasGpu: () => boolean;
  readonly farDaemon?: () => FarDaemon | undefined;
}

/** More data files than this in one recipe are not looked at while typing. */
const MAX_DATA_FILES = 20;

/** Never rejects: half-typed text has a view too. */
export async function readRecipeView(
  document: Pick<RecipeView, 'text' | 'file' | 'baseDir'>,
  { models, data, ...sources }: ViewSources,
): Promise<RecipeView> {
  const { text, file, baseDir } = document;
  const parsed = parseRecipe(text, { fileName: file });
  // Every setting is valid or at its default, apart from a model that may be missing.
  const values = parsed.resolved as unknown as RecipeView['values'];
  const files = [...values.data.train, ...values.data.eval].slice(0, MAX_DATA_FILES);
  const [runs, model, ...facts] = await Promise.all([
    readRunFacts({ name: values.name, outputDir: values.output_dir, file, baseDir }),
    values.model === undefined ? undefined : models.look(values.model, values.revision, baseDir),
    ...files.map(written => data.look(written, values, baseDir)),
  ]);
  const farDaemon = sources.farDaemon?.();
  const availableBytes = farDaemon === undefined ? sources.availableBytes() : Number.POSITIVE_INFINITY;
  const machine = { farDaemon, availableBytes, device: sources.hasGpu() ? 'gpu' : 'cpu' } as const;
  return { ...document, parsed, root: locate(text).root, values, model, data: facts, runs, ...machine };
}
