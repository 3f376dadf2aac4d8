/** The answers for a new recipe that follow from its model and its data, for both `rowtune init` and the editor's wizard. */
import { comparesTexts, type ObjectiveName, objectiveCatalog, objectiveNames } from '../catalog/objectives.ts';
import { chatColumns } from '../protocol/recipe/column-roles.ts';
import { parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import type { NewRecipeAnswer, NewRecipeParams } from '../protocol/recipe/recipe-text.ts';
import type { DataCache, DataFact } from './facts/data-facts.ts';
import { type ModelCache, type ModelFacts, positionsOf } from './facts/model-facts.ts';
import { tasksOf } from './facts/tasks-of-model.ts';
import { fittingBudget, taskProblem } from './problems/model-problems.ts';
import { unusable } from './problems/unusable-model.ts';

/** The answer with facts about the data, if there is data. */
type Answer = NewRecipeAnswer<{
  readonly data?: DataFact;
  /** The first of the asked files that fits. */
  readonly evaluation?: string | undefined;
}>;
type Fitting = Extract<Answer, { fitting: unknown }>['fitting'];
type Problem = Extract<Answer, { problem: unknown }>['problem'];

export interface NewRecipeSources {
  readonly models: ModelCache;
  readonly data: DataCache;
}

export interface NewRecipeQuestion extends NewRecipeParams {
  /** Files that may be the held-out data, preferred ones first. */
  readonly heldOut?: readonly string[];
}

/** Answers for a new recipe. Rejects if `look` of a source does. */
export async function newRecipe(sources: NewRecipeSources, params: NewRecipeQuestion): Promise<Answer> {
  const { model: name, data, task: wanted, method, baseDir, heldOut = [] } = params;
  const model = await sources.models.look(name, 'main', baseDir);
  if (model.kind !== 'ready' && model.kind !== 'not-downloaded') return problem(unusable(model, name, []).message, 'Choose another model');
  const unfit = model.kind === 'ready' && wanted !== undefined ? taskProblem(model.model, wanted) : undefined;
  if (unfit !== undefined) return problem(unfit, 'Choose another task or another model');
  const tasks = wanted !== undefined ? [wanted] : model.kind === 'ready' ? likelyTasks(model) : objectiveNames;
  const known = model.kind === 'ready' ? { path: model.path, id: model.id } : undefined;
  const lookAt: LookAt = async (file, part, { task, columns = {} }) => {
    const { resolved } = parseRecipe(JSON.stringify({ model: 'm', task, data: { [part]: file, columns } }));
    return sources.data.look(file, resolved, baseDir, { part, model: known });
  };
  const found = await chooseTask(data, tasks, lookAt);
  const why = found.data === undefined ? undefined : whyUnusable(found.data, found.task);
  if (why !== undefined) return { problem: why };
  const chosen = { ...found, evaluation: await firstFitting(heldOut, found, lookAt) };
  if (model.kind !== 'ready') return { fitting: chosen };
  const { resolved } = parseRecipe(JSON.stringify({ model: name, task: chosen.task, method }));
  const prompts = comparesTexts(chosen.task) && model.vectors && 'prompts' in model.vectors ? model.vectors.prompts : undefined;
  return { fitting: { ...chosen, maxPositions: positionsOf(model.model), r: fittingBudget(model.model, resolved), prompts } };
}

/** The likely tasks of a model; a folder of sentence-transformers is made for embeddings. */
function likelyTasks({ model, vectors }: Extract<ModelFacts, { kind: 'ready' }>): readonly ObjectiveName[] {
  const tasks = tasksOf(model);
  if (vectors === undefined || 'refused' in vectors) return tasks;
  return [...tasks.filter(comparesTexts), ...tasks.filter(task => !comparesTexts(task))];
}

const problem = (message: string, hint: string): Answer => ({ problem: { message, hint } });

/**
 * Returns why no setting makes this data usable: it is missing, or of a kind that the task does not read. Other problems can be fixed
 * later.
 */
function whyUnusable(fact: DataFact, task: ObjectiveName): Problem | undefined {
  if (fact.state === 'missing') {
    const hint = fact.suggestion === undefined ? 'Check the path' : `Did you mean ${fact.suggestion}?`;
    return { message: `there is no file or folder ${fact.written}`, hint };
  }
  const isOfOtherKind = fact.isFolder || objectiveCatalog[task].reads === 'images';
  if (fact.state !== 'unreadable' || !isOfOtherKind) return undefined;
  return { message: `the data cannot be read: ${fact.reason}`, hint: 'Choose other data or another model' };
}

type LookAt = (file: string, part: 'train' | 'eval', as: Pick<Fitting, 'task' | 'columns'>) => Promise<DataFact>;

/** The first of these files with samples that can be read in the same way as the training data. */
async function firstFitting(files: readonly string[], training: Fitting, lookAt: LookAt): Promise<string | undefined> {
  for (const file of files) {
    const data = await lookAt(file, 'eval', training);
    if (data.format === training.data?.format && usableOf({ ...training, data }) > 0) return file;
  }
  return undefined;
}

/**
 * The first task whose samples the data has, with columns for questions and answers; otherwise the one that can use most samples.
 * @param tasks the tasks to choose from, at least one
 */
async function chooseTask(data: string | undefined, tasks: readonly ObjectiveName[], lookAt: LookAt): Promise<Fitting> {
  const [suggested] = tasks;
  if (suggested === undefined) throw new Error('a model has at least one task');
  if (data === undefined) return { task: suggested };
  const look: Look = (task, columns) => lookAt(data, 'train', { task, columns });
  let best: Fitting | undefined;
  for (const task of tasks) {
    const found = await readings(task, look);
    const named = mostUsable(found);
    const judging = named.data.hasJudgments ? tasks.find(name => objectiveCatalog[name].target === 'judgment') : undefined;
    const judged = judging && { task: judging, data: await look(judging, {}) };
    const reading = judged === undefined ? named : mostUsable([judged, named]);
    if (reading.data.state === 'ok') return reading;
    best = best === undefined ? reading : mostUsable([best, reading]);
  }
  return best ?? { task: suggested };
}

type Look = (task: ObjectiveName, columns: Readonly<Record<string, string>>) => Promise<DataFact>;
type Reading = Fitting & { readonly data: DataFact };

/** The ways in which a task can read the data, preferred ones first: with columns for questions and answers, and as it is. */
async function readings(task: ObjectiveName, look: Look): Promise<readonly [Reading, ...Reading[]]> {
  const plain = { task, data: await look(task, {}) };
  const { state, format, isPlainForChat, columns: found } = plain.data;
  const columns = objectiveCatalog[task].target === 'tokens' ? chatColumns(found) : undefined;
  const isChat = isPlainForChat === true || (state === 'bad-sample' && format === undefined);
  if (columns === undefined || !isChat) return [plain];
  const { instruction, output } = columns;
  const named = async (chosen: Readonly<Record<string, string>>): Promise<Reading> => ({
    task,
    columns: chosen,
    data: await look(task, chosen),
  });
  const whole = await named({ ...columns });
  // A column next to them may hold something else than text.
  return Object.keys(columns).length === 2 ? [whole, plain] : [whole, await named({ instruction, output }), plain];
}

/** The first of the readings that can use most samples. */
const mostUsable = <T extends Fitting>([first, ...others]: readonly [T, ...T[]]): T =>
  others.reduce((best, other) => (usableOf(other) > usableOf(best) ? other : best), first);

/** Number of samples that a reading can use, as far as they were checked. */
const usableOf = ({ data }: Fitting): number => (data?.state === 'ok' ? Number.POSITIVE_INFINITY : (data?.usable ?? 0));
