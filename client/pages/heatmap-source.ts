/**
 * Reads the data of a heatmap: a score file, or a run folder with its scores and its selection. Every read is bounded.
 */

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { labelIn } from '../../trainer/catalog/labels.ts';
import { type MethodName, methodCatalog } from '../../trainer/catalog/methods.ts';
import { firstNames } from '../../trainer/files/folder-walk.ts';
import { MAX_STATE_BYTES, readRegularText } from '../../trainer/files/regular-file.ts';
import { partialPath } from '../../trainer/importance/partial-scores.ts';
import { openScoreSets, type ScoreSetFile } from '../../trainer/importance/score-sets.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { parseRecipe } from '../../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { rowsBudget } from '../../trainer/protocol/recipe/rows-budget.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import { columnsName } from '../../trainer/protocol/view/column-names.ts';
import type { HeatmapModule, HeatmapSource, HeatmapSourceInfo } from '../../trainer/protocol/view/heatmap.ts';
import { readRunRecipe } from '../../trainer/run/run-folder.ts';
import { SCORES_ENDING } from '../recipe/recipe-names.ts';

/** Maximum size of a selection: a list of all rows of a model with 405 billion parameters takes 150 MB, a selection a tenth of that. */
const MAX_SELECTION_BYTES = 64 * 2 ** 20;
/** Maximum size of the coverage file: 100,000 modules of 150 bytes. */
const MAX_COVERAGE_BYTES = 16 * 2 ** 20;
/** Maximum number of folder entries that are searched for comparable scores. */
const MAX_ENTRIES = 500;
const MAX_CANDIDATES = 50;

const selectionSchema = z.record(z.string(), z.array(z.int().nonnegative()));
const coverageSchema = z.object({
  parameters: z.number(),
  modules: z.array(
    z.object({ module: z.string(), rows: z.int().positive(), unit: z.literal('columns').optional(), parameters: z.number() }),
  ),
});

/** The current path of the scores of a source. */
export interface ScoresPlace {
  readonly file: string;
  readonly isPartial: boolean;
  /** Changes when the file is replaced or the run chooses its rows. */
  readonly version: string;
}

export interface ReadSource {
  readonly info: HeatmapSourceInfo;
  readonly place?: ScoresPlace;
}

const isFolder = (file: string): Promise<boolean> =>
  stat(file).then(
    found => found.isDirectory(),
    () => false,
  );

/** Returns the complete scores, or the partial ones if they are newer. */
export async function placeOfScores(source: string): Promise<ScoresPlace | undefined> {
  const isRun = await isFolder(source);
  const file = isRun ? await scoresOfRun(source) : source;
  const look = (names: readonly string[]) => Promise.all(names.map(async name => stat(name).catch(() => undefined)));
  const [whole, partial] = await look([file, partialPath(file)]);
  // Included in the version because a run chooses its rows after scoring them.
  const chosen = isRun ? await look([RUN_FILES.selection, RUN_FILES.coverage].map(name => path.join(source, name))) : [];
  const found = partial && (!whole || partial.mtimeMs > whole.mtimeMs) ? partial : whole;
  if (!found?.isFile()) return undefined;
  const isPartial = found === partial;
  return {
    file: isPartial ? partialPath(file) : file,
    isPartial,
    version: [found, ...chosen].map(each => `${each?.ino} ${each?.mtimeMs} ${each?.size}`).join(),
  };
}

/** The path of a run's scores: its own, or the saved scores that its recipe names. */
async function scoresOfRun(runDir: string): Promise<string> {
  const own = path.join(runDir, RUN_FILES.scores);
  const has = await Promise.all([own, partialPath(own)].map(name => stat(name).then(Boolean, () => false)));
  if (has.includes(true)) return own;
  const recipe = await readRunRecipe(runDir).catch(() => undefined);
  return recipe?.importance.scores ?? own;
}

/**
 * Reports missing or damaged files in `problem` instead of throwing.
 * @param isAtWork true while a job computes the scores; then missing scores are not a problem
 */
export async function readSource({ path: source, label }: HeatmapSource, isAtWork = false): Promise<ReadSource> {
  const isRun = await isFolder(source);
  const problems: string[] = [];
  const run = isRun ? await readRun(source, problems) : await readRecipeBeside(source);
  const place = await placeOfScores(source).catch(() => undefined);
  let scores: ScoreSetFile | undefined;
  try {
    if (place) scores = await openScoreSets(place.file);
    else if (!isAtWork)
      problems.push(isRun ? whyNoScores(run) : `${source} has no scores yet: compute them with Rowtune: Compute Importance`);
  } catch (error) {
    problems.push(messageOf(error));
  }
  try {
    const info: HeatmapSourceInfo = {
      path: source,
      label,
      kind: isRun ? 'run' : 'scores',
      sets: scores?.sets ?? [],
      // Without scores, a run shows the rows that it chose, if any.
      modules: scores ? modulesOf(scores, run.rowParameters) : run.selection ? (run.modules ?? []) : [],
      isAwaited: isAtWork && !place,
      samples: scores?.samples,
      isPartial: place?.isPartial ?? false,
      modelParameters: run.modelParameters,
      budget: run.budget,
      selectionMode: run.selectionMode,
      minRows: run.minRows,
      selection: scores ? ofSections(run.selection, scores) : run.selection,
      problem: problems.length > 0 ? problems.join('; ') : undefined,
    };
    return { info, place: scores ? place : undefined };
  } finally {
    await scores?.close();
  }
}

function modulesOf({ modules }: ScoreSetFile, rowParameters: ReadonlyMap<string, number> | undefined): HeatmapModule[] {
  return [...modules].map(([name, { shape, bias, module, unit, block }]) => {
    const ofShape = bias === undefined ? undefined : shape.slice(1).reduce((n, d) => n * d, 1) + Number(bias);
    return { name, shape, unit, rowParameters: ofShape ?? rowParameters?.get(module), block };
  });
}

/** The trained rows of each module; for modules with sections, of each section. */
function ofSections(selection: HeatmapSourceInfo['selection'], { modules }: ScoreSetFile): HeatmapSourceInfo['selection'] {
  return selection?.flatMap(chosen => {
    const parts = [...modules].filter(([name, { module }]) => module === chosen.module && name !== module);
    if (parts.length === 0) return [chosen];
    return parts.map(([name, { begin, shape }]) => {
      const end = begin + (shape[0] ?? 0);
      return { module: name, rows: chosen.rows.filter(row => row >= begin && row < end).map(row => row - begin) };
    });
  });
}

interface RunParts {
  readonly method?: MethodName;
  readonly modules?: readonly HeatmapModule[];
  readonly rowParameters?: ReadonlyMap<string, number>;
  readonly modelParameters?: number;
  readonly budget?: HeatmapSourceInfo['budget'];
  readonly selectionMode?: HeatmapSourceInfo['selectionMode'];
  readonly minRows?: number;
  readonly selection?: HeatmapSourceInfo['selection'];
}

async function readRun(runDir: string, problems: string[]): Promise<RunParts> {
  const read = async <T>(name: string, schema: z.ZodType<T>, limit: number): Promise<T | undefined> => {
    try {
      return await readJson(path.join(runDir, name), schema, limit);
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const recipe = await readRunRecipe(runDir).catch(() => undefined);
  const coverage = await read(RUN_FILES.coverage, coverageSchema, MAX_COVERAGE_BYTES);
  const selection = await read(RUN_FILES.selection, selectionSchema, MAX_SELECTION_BYTES);
  const byColumns = new Set(coverage?.modules.filter(({ unit }) => unit === 'columns').map(({ module }) => module));
  const nameOf = (module: string): string => (byColumns.has(module) ? columnsName(module) : module);
  const rowParameters = coverage && new Map(coverage.modules.map(({ module, rows, parameters }) => [module, parameters / rows]));
  return {
    modules: coverage?.modules.map(({ module, rows, unit }) => ({
      name: nameOf(module),
      shape: [rows],
      unit,
      rowParameters: rowParameters?.get(module),
    })),
    rowParameters,
    modelParameters: coverage?.parameters,
    method: recipe?.method,
    ...budgetOf(recipe),
    selection: selection && Object.entries(selection).map(([module, rows]) => ({ module: nameOf(module), rows: Int32Array.from(rows) })),
  };
}

type BudgetSettings = Pick<Recipe, 'method' | 'trains' | 'r' | 'ratio' | 'dependencies' | 'importance'>;

/** The number of rows that a recipe trains, if its method chooses rows. The rank of a method that has both is not a row budget. */
function budgetOf(recipe: BudgetSettings | undefined): Pick<RunParts, 'budget' | 'selectionMode' | 'minRows'> {
  if (recipe === undefined) return {};
  const { method, r, ratio, importance } = recipe;
  const { chooses, r: counted } = methodCatalog[method];
  const isGiven = ratio !== undefined || (r !== undefined && counted?.counts === 'rows');
  return {
    budget: chooses === 'rows' && isGiven ? rowsBudget(recipe) : undefined,
    selectionMode: importance.selection,
    minRows: importance.min_rows,
  };
}

/** Reads the recipe next to standalone scores, which has the same name. */
async function readRecipeBeside(file: string): Promise<RunParts> {
  if (!file.endsWith(SCORES_ENDING)) return {};
  for (const ending of ['yaml', 'yml', 'json']) {
    const recipe = `${file.slice(0, -SCORES_ENDING.length)}.rowtune.${ending}`;
    const text = await readRegularText(recipe, MAX_STATE_BYTES).catch(() => undefined);
    // Other mistakes in the recipe do not matter here: every setting is valid or has its default.
    if (text !== undefined) return budgetOf(parseRecipe(text, { fileName: recipe }).resolved);
  }
  return {};
}

function whyNoScores({ method }: RunParts): string {
  if (method === undefined || methodCatalog[method].chooses !== 'nothing') return 'this run has saved no scores';
  return `this run was trained by ${labelIn('method', method)}, which does not score rows; open Coverage on the page of the run to see what it trained`;
}

/** Returns undefined if the file does not exist. */
async function readJson<T>(file: string, schema: z.ZodType<T>, limit: number): Promise<T | undefined> {
  if (!(await stat(file).catch(() => undefined))) return undefined;
  return schema.parse(JSON.parse(await readRegularText(file, limit)));
}

/** Finds runs and score files near the sources: in their folder and in its `runs` folder. */
export async function candidatesBeside(sources: readonly HeatmapSource[]): Promise<HeatmapSource[]> {
  const folders = new Set(sources.flatMap(({ path: source }) => [path.dirname(source), path.join(path.dirname(source), 'runs')]));
  const found: HeatmapSource[] = [];
  for (const folder of folders) {
    const names = await firstNames(folder, MAX_ENTRIES);
    for (const name of names.sort()) {
      const file = path.join(folder, name);
      if (sources.some(source => source.path === file)) continue;
      if (name.endsWith('.safetensors') && (await isScores(file))) found.push({ path: file, label: name.replace(/\.safetensors$/, '') });
      else if (await isRunWithRows(file)) found.push({ path: file, label: name });
    }
  }
  return found.slice(0, MAX_CANDIDATES);
}

const isScores = (file: string): Promise<boolean> =>
  openScoreSets(file).then(
    async scores => {
      await scores.close();
      return true;
    },
    () => false,
  );

async function isRunWithRows(folder: string): Promise<boolean> {
  const has = async (name: string): Promise<boolean> => stat(path.join(folder, name)).then(Boolean, () => false);
  return (await has(RUN_FILES.recipe)) && ((await has(RUN_FILES.scores)) || (await has(RUN_FILES.selection)));
}
