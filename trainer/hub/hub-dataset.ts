/** Data sets by their names on the hub: downloads and caches the Parquet files that the hub makes of every public data set. */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { MAX_JSON_BYTES, readRegularText } from '../files/regular-file.ts';
import { fileSize } from '../format/model-config.ts';
import { recordIn } from '../narrow.ts';
import { isCommit, isComplete, knownCommit, markComplete, rememberRevision, repoFolder, withLock } from './hub-cache.ts';
import { clientOf, type DownloadOptions, downloadFiles, fetchListing, withRetries } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, type HubListing, parseListing, urlPath } from './hub-files.ts';
import type { HubClient } from './hub-http.ts';
import { RangedFile } from './ranged-file.ts';

export interface DataSetPart {
  readonly repo: string;
  /** The configuration (subset); if left out, the only one, or the one called `default`. */
  readonly config?: string | undefined;
  readonly split: string;
  /** A commit of the branch with the Parquet files; if left out, the newest. */
  readonly revision?: string | undefined;
}

/** The branch with the Parquet files. */
const PARQUET = 'refs/convert/parquet';
/** Matches `config/split/0000.parquet`. */
const PARQUET_NAME = /^\w[\w.+=-]{0,200}\/\w[\w.+=-]{0,200}\/\w[\w.-]{0,100}\.parquet$/;
/** Prefix of a split whose data exceeds 5 GB: the hub converts only its beginning. */
const PARTIAL = 'partial-';
/** The listing of the newest download, for use without a network. */
const LISTING = 'listing.json';

/** The files of an earlier download, in order; undefined if the cache does not have all of them. Does not use the network. */
export async function findDataSet(cacheDir: string, part: DataSetPart): Promise<string[] | undefined> {
  const known = await knownSplit(cacheDir, part);
  if (known === undefined || !(await isComplete(path.join(known.dir, known.chosen.folder)))) return undefined;
  return known.chosen.files.map(({ name }) => path.join(known.dir, name));
}

/** The facts about a split in the newest cached listing. */
async function knownSplit(cacheDir: string, part: DataSetPart) {
  const folder = repoFolder(cacheDir, part.repo, 'datasets');
  const commit = await knownCommit(folder, part.revision ?? PARQUET);
  if (commit === undefined) return undefined;
  const dir = path.join(folder, commit);
  const text = await readRegularText(path.join(dir, LISTING), MAX_JSON_BYTES).catch(() => undefined);
  // A damaged listing is fetched again.
  const listed = recordIn(text ?? '');
  if (listed === undefined) return undefined;
  const { files } = parseListing(listed, part.repo, PARQUET_NAME);
  return { dir, chosen: chooseFiles(files, part) };
}

/** The paths for the files of a split, according to a cached listing; undefined without one. Does not use the network. */
export async function knownDataSet(
  cacheDir: string,
  part: DataSetPart,
): Promise<readonly { readonly path: string; readonly byteLength: number }[] | undefined> {
  const known = await knownSplit(cacheDir, part);
  return known?.chosen.files.map(({ name, size }) => ({ path: path.join(known.dir, name), byteLength: size }));
}

/**
 * Downloads the Parquet files of a split unless they are in the cache.
 * @returns their paths, in order
 * @throws HubError with a remedy
 */
export async function downloadDataSet(part: DataSetPart, options: DownloadOptions): Promise<string[]> {
  const split = await lookUp(part, options);
  const paths = pathsOf(split);
  if (!(await isComplete(path.join(split.dir, split.folder)))) {
    if (options.offline) throw notInCache(part, options);
    const { dir, files } = split;
    const client = clientOf(options);
    await withLock(path.join(dir, split.folder), () =>
      downloadFiles({ dir, client, files, urlOf: file => urlOf(split, file, client), options }),
    );
    await markComplete(path.join(dir, split.folder));
  }
  await split.remember();
  return paths;
}

/** The files of a split: complete in the cache, or to be read by ranges. */
export type DataSetFiles = {
  /** Makes this commit the one that is used without a network from now on. */
  readonly remember: () => Promise<void>;
} & (
  | { readonly cached: readonly string[]; readonly ranged?: undefined }
  | { readonly cached?: undefined; readonly ranged: readonly RangedFile[] }
);

/** Looks up a split without downloading it. @throws HubError with a remedy */
export async function openDataSet(part: DataSetPart, options: DownloadOptions): Promise<DataSetFiles> {
  const split = await lookUp(part, options);
  const { remember } = split;
  // An earlier commit in the cache remains the one to use without a network until as much of the new one is cached.
  if (!(await isKnown(part, options))) await remember();
  if (await isComplete(path.join(split.dir, split.folder))) return { cached: pathsOf(split), remember };
  return { ranged: split.files.map(file => rangedFile(split, file, options)), remember };
}

const isKnown = async ({ repo, revision = PARQUET }: DataSetPart, { cacheDir }: DownloadOptions): Promise<boolean> => {
  const folder = repoFolder(cacheDir, repo, 'datasets');
  const commit = await knownCommit(folder, revision);
  return commit !== undefined && (await fileSize(path.join(folder, commit, LISTING))) !== undefined;
};

/** The longest cached beginning of a split that was read by ranges, for use without a network; undefined if there is none. */
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

interface Split extends ChosenFiles {
  readonly part: DataSetPart;
  /** The folder of the commit. */
  readonly dir: string;
}

interface FoundSplit extends Split {
  readonly remember: () => Promise<void>;
}

const pathsOf = ({ dir, files }: Split): string[] => files.map(({ name }) => path.join(dir, name));

const urlOf = ({ part: { repo }, dir }: Split, { name }: HubFile, { endpoint }: HubClient): string =>
  `${endpoint}/datasets/${repo}/resolve/${path.basename(dir)}/${urlPath(name)}`;

/** A file to read by ranges; without a network, reading an uncached range throws. */
function rangedFile(split: Split, file: HubFile, options: DownloadOptions): RangedFile {
  const client = clientOf(options);
  const refused = options.offline ? notInCache(split.part, options) : undefined;
  return new RangedFile({ client, url: urlOf(split, file, client), file, path: path.join(split.dir, file.name), refused }, options);
}

const notInCache = ({ repo }: DataSetPart, { cacheDir }: DownloadOptions): HubError =>
  new HubError(
    'offline',
    `the data set ${repo} is not in the cache ${cacheDir}, and the network is switched off by HF_HUB_OFFLINE. Unset it to download the data once, or name local files`,
  );

async function lookUp(part: DataSetPart, options: DownloadOptions): Promise<FoundSplit> {
  const { repo, revision = PARQUET } = part;
  const inCache = async (): Promise<FoundSplit | undefined> => {
    const known = await knownSplit(options.cacheDir, part);
    if (known && !options.offline) await mkdir(path.join(known.dir, known.chosen.folder), { recursive: true });
    return known && { ...known.chosen, dir: known.dir, part, remember: async () => undefined };
  };
  // A commit never changes, so its cached listing is valid.
  const known = options.offline || isCommit(revision) ? await inCache() : undefined;
  if (known) return known;
  if (options.offline) throw notInCache(part, options);
  let listing: HubListing;
  try {
    listing = await withRetries(options, () => fetchListing(clientOf(options), { repo, revision, kind: 'datasets', names: PARQUET_NAME }));
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const kept = error.transient ? await inCache() : undefined;
    if (!kept) throw error.failure === 'missing' ? noParquet(part, error) : error;
    options.onWarning?.(`${error.message}; the copy in the cache is used`);
    return kept;
  }
  const chosen = chooseFiles(listing.files, part);
  if (chosen.isPartial)
    options.onWarning?.(`the hub has only the beginning of ${repo} (${part.split}) as Parquet, some 5 GB: the rest is not used`);
  const folder = repoFolder(options.cacheDir, repo, 'datasets');
  const dir = path.join(folder, listing.commit);
  await mkdir(path.join(dir, chosen.folder), { recursive: true });
  const remember = async (): Promise<void> => {
    await writeTextFile(path.join(dir, LISTING), listingText(listing));
    await rememberRevision(folder, revision, listing.commit);
  };
  return { ...chosen, dir, part, remember };
}

const listingText = ({ commit, files }: HubListing): string =>
  JSON.stringify({
    sha: commit,
    siblings: files.map(({ name, size, sha256 }) => ({ rfilename: name, size, ...(sha256 && { lfs: { size, sha256 } }) })),
  });

interface ChosenFiles {
  /** The folder `config/split`. */
  readonly folder: string;
  readonly files: readonly HubFile[];
  readonly isPartial: boolean;
}

/** @throws HubError that lists the available configurations and splits */
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

/** The part of a data set that a recipe's settings select. */
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
