/** A data set by its name on the hub: the Parquet files that the hub makes of every public data set, in the cache. */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { fileSize } from '../format/model-config.ts';
import { isCommit, isComplete, knownCommit, markComplete, rememberRevision, repoFolder, withLock } from './hub-cache.ts';
import { clientOf, type DownloadOptions, downloadFiles, fetchListing, withRetries } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, type HubListing, parseListing, urlPath } from './hub-files.ts';
import type { HubClient } from './hub-http.ts';
import { RangedFile } from './ranged-file.ts';

export interface DataSetPart {
  readonly repo: string;
  /** The configuration (subset); left out, the only one, or the one called `default`. */
  readonly config?: string | undefined;
  readonly split: string;
  /** A commit of the branch with the Parquet files; left out, its newest one. */
  readonly revision?: string | undefined;
}

/** The branch with the Parquet files. */
const PARQUET = 'refs/convert/parquet';
/** `config/split/0000.parquet` */
const PARQUET_NAME = /^\w[\w.+=-]{0,200}\/\w[\w.+=-]{0,200}\/\w[\w.-]{0,100}\.parquet$/;
/** Data beyond 5 GB: the hub converts the beginning alone. */
const PARTIAL = 'partial-';
/** The listing of the newest download, for use without a network. */
const LISTING = 'listing.json';

/** The files of an earlier download, in order; undefined where the cache does not have them whole. Nothing is asked of the network. */
export async function findDataSet(cacheDir: string, part: DataSetPart): Promise<string[] | undefined> {
  const known = await knownSplit(cacheDir, part);
  if (known === undefined || !(await isComplete(path.join(known.dir, known.chosen.folder)))) return undefined;
  return known.chosen.files.map(({ name }) => path.join(known.dir, name));
}

/** The facts that the newest listing in the cache has about a split. */
async function knownSplit(cacheDir: string, part: DataSetPart) {
  const folder = repoFolder(cacheDir, part.repo, 'datasets');
  const commit = await knownCommit(folder, part.revision ?? PARQUET);
  if (commit === undefined) return undefined;
  const dir = path.join(folder, commit);
  const text = await readRegularText(path.join(dir, LISTING), MAX_STATE_BYTES).catch(() => undefined);
  if (text === undefined) return undefined;
  const { files } = parseListing(JSON.parse(text), part.repo, PARQUET_NAME);
  return { dir, chosen: chooseFiles(files, part) };
}

/**
 * Downloads the Parquet files of a split unless the cache has them.
 * @returns their paths, in order
 * @throws HubError that says what to do
 */
export async function downloadDataSet(part: DataSetPart, options: DownloadOptions): Promise<string[]> {
  const found = await lookUp(part, options);
  if (found.cached) return found.cached;
  const { client, dir, split, files, urlOf, remember } = found.remote;
  if (!(await isComplete(path.join(dir, split)))) {
    await withLock(path.join(dir, split), () => downloadFiles({ dir, client, files, urlOf, options }));
    await markComplete(path.join(dir, split));
  }
  await remember();
  return files.map(({ name }) => path.join(dir, name));
}

/** The files of a split, whole in the cache or to be read by ranges. */
export type DataSetFiles =
  | { readonly cached: readonly string[]; readonly ranged?: undefined }
  | { readonly cached?: undefined; readonly ranged: readonly RangedFile[] };

/** Looks up a split without downloading it. @throws HubError that says what to do */
export async function openDataSet(part: DataSetPart, options: DownloadOptions): Promise<DataSetFiles> {
  const found = await lookUp(part, options);
  if (found.cached) return found;
  const { client, dir, split, files, urlOf, remember } = found.remote;
  // A whole copy of an earlier commit stays what is used without a network.
  if ((await findDataSet(options.cacheDir, part)) === undefined) await remember();
  if (await isComplete(path.join(dir, split))) return { cached: files.map(({ name }) => path.join(dir, name)) };
  return { ranged: files.map(file => new RangedFile({ client, url: urlOf(file), file, path: path.join(dir, file.name) }, options)) };
}

/** The path of a file that was made of a split, for use without a network; undefined if there is none. */
export async function fileOfSplit(cacheDir: string, part: DataSetPart, name: string): Promise<string | undefined> {
  const known = await knownSplit(cacheDir, part);
  const file = known && path.join(known.dir, known.chosen.folder, name);
  return file !== undefined && (await fileSize(file)) !== undefined ? file : undefined;
}

/** The longest beginning of a split that was read by ranges, for use without a network; undefined if there is none. */
export async function findBeginning(cacheDir: string, part: DataSetPart): Promise<string | undefined> {
  const known = await knownSplit(cacheDir, part);
  const dir = known && path.join(known.dir, known.chosen.folder);
  const names = dir === undefined ? [] : await readdir(dir).catch(() => []);
  const counted = names.flatMap(name => {
    const [, count] = /^0000\.first-(\d+)\.parquet$/.exec(name) ?? [];
    return count === undefined ? [] : [{ name, count: Number(count) }];
  });
  counted.sort((a, b) => b.count - a.count);
  return dir !== undefined && counted[0] ? path.join(dir, counted[0].name) : undefined;
}

interface RemoteSplit {
  readonly client: HubClient;
  /** The folder of the commit. */
  readonly dir: string;
  /** `config/split` */
  readonly split: string;
  readonly files: readonly HubFile[];
  readonly urlOf: (file: HubFile) => string;
  /** From now on, this commit is what the cache has of the revision. */
  readonly remember: () => Promise<void>;
}

type Found = { readonly cached: string[]; readonly remote?: undefined } | { readonly cached?: undefined; readonly remote: RemoteSplit };

async function lookUp(part: DataSetPart, options: DownloadOptions): Promise<Found> {
  const { repo, revision = PARQUET } = part;
  const folder = repoFolder(options.cacheDir, repo, 'datasets');
  // A commit never changes.
  if (options.offline || isCommit(revision)) {
    const cached = await findDataSet(options.cacheDir, part);
    if (cached) return { cached };
  }
  if (options.offline)
    throw new HubError(
      'offline',
      `the data set ${repo} is not in the cache ${options.cacheDir} and the network is switched off: go online once, or name local files`,
    );
  const client = clientOf(options);
  let listing: HubListing;
  try {
    listing = await withRetries(options, () => fetchListing(client, { repo, revision, kind: 'datasets', names: PARQUET_NAME }));
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const cached = error.transient ? await findDataSet(options.cacheDir, part) : undefined;
    if (!cached) throw error.failure === 'missing' ? noParquet(part, error) : error;
    options.onWarning?.(`${error.message}; the copy in the cache is used`);
    return { cached };
  }
  const { folder: split, files, isPartial } = chooseFiles(listing.files, part);
  if (isPartial)
    options.onWarning?.(`the hub has only the beginning of ${repo} (${part.split}) as Parquet, some 5 GB: the rest is not used`);
  const dir = path.join(folder, listing.commit);
  await mkdir(path.join(dir, split), { recursive: true });
  const remember = async (): Promise<void> => {
    await writeTextFile(path.join(dir, LISTING), listingText(listing));
    await rememberRevision(folder, revision, listing.commit);
  };
  const urlOf = ({ name }: HubFile): string => `${client.endpoint}/datasets/${repo}/resolve/${listing.commit}/${urlPath(name)}`;
  return { remote: { client, dir, split, files, urlOf, remember } };
}

const listingText = ({ commit, files }: HubListing): string =>
  JSON.stringify({
    sha: commit,
    siblings: files.map(({ name, size, sha256 }) => ({ rfilename: name, size, ...(sha256 && { lfs: { size, sha256 } }) })),
  });

interface ChosenFiles {
  /** `config/split` */
  readonly folder: string;
  readonly files: readonly HubFile[];
  readonly isPartial: boolean;
}

/** @throws HubError that lists what there is */
function chooseFiles(all: readonly HubFile[], { repo, config: wanted, split }: DataSetPart): ChosenFiles {
  const configs = [...new Set(all.map(({ name }) => name.split('/')[0] ?? ''))];
  const config = wanted ?? (configs.length === 1 ? configs[0] : configs.find(name => name === 'default'));
  const listed = configs.slice(0, 20).join(', ') + (configs.length > 20 ? ' …' : '');
  if (config === undefined)
    throw new HubError(
      'missing',
      configs.length === 0
        ? `the hub has no Parquet files of ${repo}`
        : `${repo} has several configurations: set data.config to one of ${listed}`,
    );
  if (!configs.includes(config))
    throw new HubError('missing', `${repo} has no configuration "${config}": set data.config to one of ${listed}`);
  for (const name of [split, `${PARTIAL}${split}`]) {
    const files = all.filter(file => file.name.startsWith(`${config}/${name}/`)).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (files.length > 0) return { folder: `${config}/${name}`, files, isPartial: name !== split };
  }
  const splits = [
    ...new Set(all.filter(({ name }) => name.startsWith(`${config}/`)).map(({ name }) => (name.split('/')[1] ?? '').replace(PARTIAL, ''))),
  ];
  throw new HubError(
    'missing',
    `${repo} (${config}) has no split "${split}": set data.split (or data.eval_split) to one of ${splits.join(', ')}`,
  );
}

const noParquet = ({ repo, revision }: DataSetPart, cause: HubError): HubError =>
  new HubError(
    'missing',
    revision !== undefined
      ? `the hub has no commit ${revision} of the Parquet files of ${repo}: leave out data.revision for the newest one`
      : `the hub has no data set ${repo}, or no Parquet files of it: check the name; of a private data set, download the files and name them`,
    { cause },
  );

/** The part of a data set that the settings of a recipe name. */
export const partOfDataSet = (
  repo: string,
  {
    config,
    split,
    eval_split: evalSplit,
    revision,
  }: {
    readonly config?: string | undefined;
    readonly split: string;
    readonly eval_split: string;
    readonly revision?: string | undefined;
  },
  part: 'train' | 'eval',
): DataSetPart => ({ repo, config, split: part === 'train' ? split : evalSplit, revision });

/** The commit of a downloaded file: `commit/config/split/0000.parquet`. */
export const commitOf = (file: string): string => path.basename(path.resolve(file, '..', '..', '..'));
