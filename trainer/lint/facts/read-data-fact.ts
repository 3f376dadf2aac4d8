/** Reads the beginning of a data file, or all of a short one, and finds its columns and unusable samples. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { type DeclaredLabels, declaredLabels, withDeclaredLabels } from '../../data/class-names/declared-labels.ts';
import { withNames } from '../../data/columns-read.ts';
import { DataError } from '../../data/data-error.ts';
import { renameColumns } from '../../data/detect-format.ts';
import { isJudged } from '../../data/example/format-judged.ts';
import { type DataFile, listDataFiles } from '../../data/read/list-files.ts';
import { columnsPath } from '../../data/read/parquet-columns.ts';
import { columnsOf, keptSource, openRemote } from '../../data/read/ranged-source.ts';
import { readRecords } from '../../data/read/read-records.ts';
import type { DataFormat, DataRecord } from '../../data/types.ts';
import { fileSize } from '../../format/model-config.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { checkSamples, type SampleCheck } from './check-samples.ts';
import { countFileLabels, MAX_COUNTED_BYTES } from './count-labels.ts';
import { countRows } from './count-rows.ts';
import type { BadSample, DataFact, DataFactParams, OddSamples } from './data-facts.ts';
import { isGivenUp, templateFact } from './template-fact.ts';

type DataSettings = Recipe['data'];

/** Number of samples to check in a file larger than `MAX_WHOLE_BYTES`: enough to find a wrong key or type, and quick. */
const CHECKED_SAMPLES = 1000;
/** Maximum number of unusable samples: people fix these before looking again. */
const MAX_BAD = 20;
/** Maximum number of columns to return. */
const MAX_COLUMNS = 200;
/**
 * Maximum size of a file that is checked completely. A .json file is parsed in one piece and a .parquet row group may be large: larger
 * files are left to the trainer.
 */
const MAX_WHOLE_BYTES = 4 * 2 ** 20;

/** Reads the beginning of a file. Never rejects; the result is plain data. */
export const readDataFact = async (params: DataFactParams): Promise<DataFact> =>
  params.remote === undefined ? readNamedFact(params, await declaredLabels([params.full], params)) : readColumnsFact(params, params.remote);

/** Reads the facts about a file with the labels that it declares, unless the recipe names labels. */
async function readNamedFact(params: DataFactParams, found: DeclaredLabels): Promise<DataFact> {
  const { recipe, warnings } = withDeclaredLabels(params, found);
  const fact = await readFileFact(recipe);
  return { ...fact, declared: found.declared, ...(warnings.length > 0 && { nameWarnings: warnings }) };
}

/**
 * Reads facts about a data set that is not completely on this machine: all columns, and samples if the columns that the recipe reads are
 * present.
 */
async function readColumnsFact(params: DataFactParams, remote: NonNullable<DataFactParams['remote']>): Promise<DataFact> {
  const base = { written: params.written, full: params.full, isFolder: false, columns: [] };
  // No part of it may be on this machine yet.
  const files = await openRemote(remote.slice(0, 1).map(keptSource)).catch(() => []);
  const [first] = files;
  if (first === undefined) return { ...base, state: 'ok' };
  const columns = columnsOf(first).slice(0, MAX_COLUMNS);
  try {
    const [kept] = withNames(files, params).map(columnsPath);
    const bytes = kept === undefined ? undefined : await fileSize(kept);
    if (kept === undefined || bytes === undefined) return { ...base, state: 'ok', columns };
    const counts = params.counts && bytes <= MAX_COUNTED_BYTES;
    const found = await declaredLabels([], params, files);
    return { ...(await readNamedFact({ ...params, full: kept, counts, bytes }, found)), columns };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const { problem, advice, place } = error;
    return {
      ...base,
      state: 'bad-sample',
      badSamples: [{ line: place.line ?? 1, key: place.key, reason: `${problem}. ${advice}` }],
      columns,
    };
  }
}

async function readFileFact({ written, full, data, task, embedding, maxLength, counts, bytes, model }: DataFactParams): Promise<DataFact> {
  const base = { written, full, isFolder: false, columns: [] };
  const template = model && (await templateFact(model.path, data.image_max_pixels));
  const check = checkSamples(task, { data, embedding, maxLength, template });
  const bad: BadSample[] = [];
  const seen: SeenSamples = { count: 0, usable: 0 };
  const known = (): Pick<DataFact, 'columns' | 'bringsImages' | 'lacksImageLibrary' | 'isPlainForChat' | 'hasJudgments'> & {
    readonly format: DataFormat | undefined;
  } => {
    const { format, bringsImages, lacksImageLibrary } = check.facts();
    return {
      columns: Object.keys(seen.first?.value ?? {}).slice(0, MAX_COLUMNS),
      format,
      ...(bringsImages === true && { bringsImages }),
      ...(lacksImageLibrary === true && { lacksImageLibrary }),
      isPlainForChat: format === 'prompt_completion' && template?.renderer() !== undefined,
      hasJudgments: objectiveCatalog[task].target === 'tokens' && answersAreJudged(format, seen.first),
    };
  };
  const withBad = (badSamples: readonly BadSample[]): DataFact => ({
    ...base,
    state: 'bad-sample',
    badSamples: badSamples.slice(0, MAX_BAD),
    isTruncated: bad.length >= MAX_BAD,
    ...known(),
    usable: seen.usable,
  });
  try {
    const files = await listDataFiles([base.full]);
    const isWhole = files.some(({ extension }) => extension === '.json' || extension === '.parquet');
    if (isWhole && bytes > MAX_WHOLE_BYTES) return { ...base, state: 'ok' };
    const limit = bytes <= MAX_WHOLE_BYTES ? Number.MAX_SAFE_INTEGER : CHECKED_SAMPLES;
    await checkRecords(files, { check, data, limit, bad, seen });
    if (bad.length > 0) return withBad(bad);
    if (seen.first === undefined) return { ...base, state: 'unreadable', reason: 'the file contains no samples', columns: [] };
    const rows = await countRows({ ...(files[0] ?? { file: base.full, extension: '.txt' }), bytes, checked: seen.count, limit });
    const hasLabels = objectiveCatalog[task].target !== 'tokens' || known().format === 'text_label';
    const labels = counts && hasLabels ? await countFileLabels(base.full, { data, task }) : undefined;
    const { sameTexts, repeatedPrompts, documents, seenRoles } = check.facts();
    const odd = (lines: readonly number[] = []): OddSamples | undefined =>
      lines[0] === undefined ? undefined : { count: lines.length, of: seen.count, line: lines[0] };
    return {
      ...base,
      state: 'ok',
      ...known(),
      rows,
      bytes,
      labels,
      sameTexts: odd(sameTexts),
      repeatedPrompts: odd(repeatedPrompts),
      queries: documents && seen.count < limit ? queriesOf(documents) : undefined,
      seenRoles: seenRoles && seen.count < limit ? [...seenRoles] : undefined,
    };
  } catch (error) {
    if (!(error instanceof DataError)) return { ...base, state: 'unreadable', reason: String(error), columns: known().columns };
    const reason = `${error.problem}. ${error.advice}`;
    const { line, sample, key } = error.place;
    if (line === undefined) return { ...base, state: 'unreadable', reason, ...known() };
    return withBad([...bad, { line, sample, key, reason }]);
  }
}

/** The formats with an answer after a prompt; in `text_label`, the label is the answer. */
const ANSWERED: ReadonlySet<DataFormat | undefined> = new Set<DataFormat>(['messages', 'sharegpt', 'alpaca', 'prompt_completion']);

const answersAreJudged = (format: DataFormat | undefined, first: DataRecord | undefined): boolean =>
  first !== undefined && ANSWERED.has(format) && isJudged(first);

interface SeenSamples {
  first?: DataRecord;
  /** Number of samples that were read. */
  count: number;
  /** Number of samples among them that can be used. */
  usable: number;
}

interface CheckedRecords {
  readonly check: SampleCheck;
  readonly data: DataSettings;
  readonly limit: number;
  /** Receives the unusable samples. */
  readonly bad: BadSample[];
  /** Receives the first sample, and the numbers of samples. */
  readonly seen: SeenSamples;
}

/** Checks samples until too many are unusable. @throws DataError for a problem of the whole file */
async function checkRecords(files: readonly DataFile[], { check, data, limit, bad, seen }: CheckedRecords): Promise<void> {
  const onProblem = (error: unknown): void => {
    if (error instanceof DataError && isGivenUp(error)) return;
    if (!(error instanceof DataError) || error.place.line === undefined || bad.length >= MAX_BAD) throw error;
    bad.push({ line: error.place.line, sample: error.place.sample, key: error.place.key, reason: `${error.problem}. ${error.advice}` });
  };
  for await (const record of readRecords({
    files,
    maxSamples: limit,
    textSplit: 'file',
    onProblem,
    tagged: check.tagged,
    bytes: check.open !== undefined,
  })) {
    const isFirst = seen.first === undefined;
    seen.first ??= record;
    seen.count++;
    try {
      const renamed = renameColumns(record, data.columns);
      check.read(check.open ? await check.open(renamed) : renamed);
      seen.usable++;
    } catch (error) {
      onProblem(error);
      // If the first sample has no known format or columns, the others are unlikely to have them.
      if (isFirst && !check.facts().isKnown) break;
    }
    if (bad.length >= MAX_BAD) break;
  }
  if (bad.length === 0) check.end();
}

const queriesOf = (documents: ReadonlyMap<string, number>): DataFact['queries'] =>
  documents.size === 0 ? undefined : { count: documents.size, single: [...documents.values()].filter(count => count === 1).length };
