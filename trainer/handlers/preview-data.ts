/** The job 'data': shows samples of a recipe as the model will see them, and statistics of all samples. No engine is opened. */
import { objectiveCatalog } from '../catalog/objectives.ts';
import { DataError } from '../data/data-error.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { readRecords } from '../data/read/read-records.ts';
import { PartReports } from '../data/shown/part-reports.ts';
import { dataStatistics } from '../data/shown/statistics.ts';
import { HubError } from '../hub/hub-error.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openModelFolder } from '../job/open-base.ts';
import { withDataFiles, withFirstRows, withFirstSamples } from '../job/open-data.ts';
import { loadModel } from '../model/load-model.ts';
import { type DataPreview, partOf } from '../objective/data-preview.ts';
import { LARGE_BYTES } from '../objective/load-data.ts';
import { previews } from '../objective/previews.ts';
import type { ReadParams } from '../objective/task-setup.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import { rolesOf } from '../protocol/recipe/column-roles.ts';
import { byteSize, grouped } from '../protocol/text/format.ts';
import {
  DATA_PARTS,
  type DataColumn,
  type DataPart,
  type DataResult,
  type DataStatistics,
  type SamplePage,
  type ShownSample,
} from '../protocol/view/data.ts';
import { RunError } from '../run-error.ts';

type Request = Extract<JobRequest, { kind: 'data' }>;

/** Maximum number of characters of a value to show next to its column. */
const EXAMPLE_LENGTH = 80;
/** Number of samples between two checks for a stop request. */
const SAMPLES_AT_ONCE = 500;

/** @throws RunError 'no-data', 'wrong-task', 'stopped'; errors of opening a model */
export async function previewDataJob(request: Request, { job, context }: JobScope): Promise<DataResult> {
  const { recipe, statistics } = request;
  if (recipe.data.train.length === 0 && recipe.data.eval.length === 0)
    throw new RunError('no-data', 'the recipe names no data', 'Set data.train');
  const reports = new PartReports(recipe);
  const folder = await openModelFolder({ job, context }, recipe);
  try {
    const now = new Date();
    const base = { folder, model: loadModel(folder.config), now: () => now };
    const named = { job, context, recipe, base, onReport: reports.add };
    const { page, preview } = await firstPage(named, request);
    job.emit({ type: 'samples', page });
    if (!statistics) return { page };
    return { page, ...(await allStatistics(named, preview, reports)) };
  } finally {
    await folder.weights.close();
  }
}

/** Factor by which more rows of the hub are read if too many of the first ones are not samples. */
const MORE_ROWS = 4;

interface FirstPage {
  readonly page: SamplePage;
  readonly preview: DataPreview;
}

/** Reads, from a data set on the hub, only the samples to show, unless they depend on others. */
async function firstPage(named: ReadParams, request: Request): Promise<FirstPage> {
  for (let rows = request.from + request.count + 1; ; rows *= MORE_ROWS) {
    const { scope, isWhole } = await shownScope(named, request, rows);
    const preview = await previews[named.recipe.task](scope);
    const found = await samplePage(scope, preview, request);
    const page = isLocal(named, scope) ? found : { ...found, columns: await allColumns(named, found) };
    if (isWhole) return { page, preview };
    if (page.samples.length >= request.count || page.problem !== undefined) return { page: { ...page, more: true }, preview };
  }
}

/** True if all data is read from where the recipe names it. */
const isLocal = (named: ReadParams, { recipe }: ReadParams): boolean =>
  DATA_PARTS.every(part => recipe.data[part] === named.recipe.data[part]);

async function shownScope(
  named: ReadParams,
  request: Request,
  rows: number,
): Promise<{ readonly scope: ReadParams; readonly isWhole: boolean }> {
  try {
    if (standAlone(request)) return await withFirstSamples(named, 'train', rows);
    return { scope: await withDataFiles(named), isWhole: true };
  } catch (error) {
    if (!isAboutData(error)) throw error;
    // The page shows the problem next to the columns of the data.
    const { scope } = await withFirstRows(named, 'train', 1);
    return { scope: (await withFirstRows(scope, 'eval', 1)).scope, isWhole: true };
  }
}

/**
 * All columns of a data set on the hub, whose samples may contain only the columns that are read. Without a network, possibly only these.
 */
async function allColumns(named: ReadParams, { part, columns }: SamplePage): Promise<readonly DataColumn[]> {
  try {
    return await columnsOf((await withFirstRows(named, part, 1)).scope, part);
  } catch (error) {
    if (error instanceof HubError && error.failure === 'offline') return columns;
    throw error;
  }
}

/**
 * True if training samples can be read without the others. Held-out samples may only have labels of training samples, and a prompt may list
 * all labels.
 */
const standAlone = ({ part, recipe: { data } }: Request): boolean =>
  part === 'train' && data.train.length > 0 && (data.labels.length > 0 || !data.prompt.includes('{labels}'));

async function samplePage(params: ReadParams, preview: DataPreview, { part: asked, from, count }: Request): Promise<SamplePage> {
  const { recipe } = params;
  const parts = DATA_PARTS.filter(each => recipe.data[each].length > 0);
  const part = parts.includes(asked) ? asked : (parts[0] ?? asked);
  const samples: ShownSample[] = [];
  let format: string | undefined;
  let problem: string | undefined;
  let more = false;
  const all = preview.samples(part, (name, reason) => (format = `${name}: ${reason}`));
  try {
    let index = 0;
    for await (const sample of all) {
      params.job.checkStop();
      if (index >= from + count) {
        more = true;
        break;
      }
      if (index >= from) samples.push(await sample.show(index));
      index++;
    }
  } catch (error) {
    if (!isAboutData(error)) throw error;
    problem = error.message;
  }
  const columns = await columnsOf(params, part);
  const roles = rolesOf(objectiveCatalog[recipe.task]);
  return { part, parts, from, samples, more, columns, roles, mapping: recipe.data.columns, format, problem };
}

/** The columns of the first sample with the names in the file; none if it cannot be read. */
async function columnsOf(params: ReadParams, part: DataPart): Promise<DataColumn[]> {
  const { target, reads } = objectiveCatalog[params.recipe.task];
  if (reads === 'images') return [];
  try {
    const files = await listDataFiles(partOf(params, part).paths);
    for await (const { value } of readRecords({ files, textSplit: 'file', maxSamples: 1, tagged: target === 'tags' }))
      return Object.entries(value).map(([name, content]) => ({ name, example: exampleOf(content) }));
  } catch (error) {
    if (!isAboutData(error)) throw error;
  }
  return [];
}

function exampleOf(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  const line = text.slice(0, 2 * EXAMPLE_LENGTH).replace(/\s+/g, ' ');
  return line.length > EXAMPLE_LENGTH ? `${line.slice(0, EXAMPLE_LENGTH - 1)}…` : line;
}

/** Number of samples that are read first from large data: enough for lengths and labels, and tokenized in a second. */
const FIRST_SAMPLES = 1000;
/** Maximum size of data for the random subset: all lines are read for the draw, which takes about ten seconds per gigabyte. */
const MAX_DRAWN_BYTES = 2 ** 30;

/** Statistics of a random subset of each part, if reading all samples takes longer. */
async function drawnStatistics(params: ReadParams): Promise<DataStatistics | undefined> {
  const { recipe, job } = params;
  if (objectiveCatalog[recipe.task].reads === 'images') return undefined;
  const parts = DATA_PARTS.map(part => partOf(params, part)).filter(({ paths }) => paths.length > 0);
  if (parts.every(({ maxSamples = Number.POSITIVE_INFINITY }) => maxSamples <= FIRST_SAMPLES)) return undefined;
  const bytes = await bytesOf(parts.flatMap(({ paths }) => paths));
  if (bytes < LARGE_BYTES || bytes > MAX_DRAWN_BYTES) return undefined;
  job.phase('draw', `drawing ${grouped(FIRST_SAMPLES)} samples of ${byteSize(bytes)}`);
  const fewer = (count: number | undefined): number => Math.min(count ?? FIRST_SAMPLES, FIRST_SAMPLES);
  const data = { ...recipe.data, max_samples: fewer(recipe.data.max_samples), eval_max_samples: fewer(recipe.data.eval_max_samples) };
  const reports = new PartReports(params.recipe);
  const preview = await previews[recipe.task]({
    ...params,
    recipe: { ...recipe, data },
    job: job.quiet(),
    onReport: reports.add,
    isBrief: true,
  });
  try {
    const statistics = await dataStatistics(await preview.load(), reports.texts(), samplePauses(job));
    return { ...statistics, drawn: reports.drawn() };
  } catch (error) {
    // All samples are read next, which reports the same error.
    if (!isAboutData(error)) throw error;
    return undefined;
  }
}

/** The size of the files; zero if they cannot be listed, which reading them reports. */
const bytesOf = async (paths: readonly string[]): Promise<number> =>
  (await listDataFiles(paths).catch(() => [])).reduce((sum, { bytes }) => sum + bytes, 0);

/** Returns a function that lets messages through between samples. @param onSeen receives the number of samples so far */
function samplePauses(job: Job, onSeen: (seen: number) => void = () => undefined): () => Promise<void> | undefined {
  let seen = 0;
  return () => {
    if (++seen % SAMPLES_AT_ONCE > 0) return undefined;
    job.checkStop();
    onSeen(seen);
    return job.yieldToEvents();
  };
}

/** Computes statistics: for large data, first of a random subset, then of all samples. */
async function allStatistics(named: ReadParams, shown: DataPreview, reports: PartReports): Promise<FoundStatistics> {
  const { job, recipe } = named;
  try {
    const all = await withDataFiles(named);
    const first = await drawnStatistics(all);
    if (first) job.emit({ type: 'statistics', statistics: first });
    const preview = isLocal(named, all) ? shown : await previews[recipe.task](all);
    const loaded = await preview.load();
    job.phase('compare', 'comparing the samples');
    const total = loaded.train.count + loaded.held.count;
    const report = job.progress('compare', total, 'samples');
    const statistics = await dataStatistics(loaded, reports.texts(), samplePauses(job, report));
    report(total);
    return { statistics };
  } catch (error) {
    if (!isAboutData(error)) throw error;
    return { failure: error.message };
  }
}

interface FoundStatistics {
  readonly statistics?: DataStatistics;
  readonly failure?: string;
}

/** True if an error is about the data itself, not about the model or the machine. */
const isAboutData = (error: unknown): error is Error => error instanceof DataError || isNoData(error);

const isNoData = (error: unknown): boolean => error instanceof RunError && error.code === 'no-data';
