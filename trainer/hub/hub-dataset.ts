/** A data set by its name on the hub: the Parquet files that the hub makes of every public data set, in the cache. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { isCommit, isComplete, knownCommit, markComplete, rememberRevision, repoFolder, withLock } from './hub-cache.ts';
import { clientOf, type DownloadOptions, downloadFiles, fetchListing, withRetries } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, type HubListing, parseListing, urlPath } from './hub-files.ts';

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
  const folder = repoFolder(cacheDir, part.repo, 'datasets');
  const commit = await knownCommit(folder, part.revision ?? PARQUET);
  if (commit === undefined) return undefined;
  const dir = path.join(folder, commit);
  const text = await readRegularText(path.join(dir, LISTING), MAX_STATE_BYTES).catch(() => undefined);
  if (text === undefined) return undefined;
  const { files } = parseListing(JSON.parse(text), part.repo, PARQUET_NAME);
  const chosen = chooseFiles(files, part);
  return (await isComplete(path.join(dir, chosen.folder))) ? chosen.files.map(({ name }) => path.join(dir, name)) : undefined;
}

/**
 * Downloads the Parquet files of a split unless the cache has them.
 * @returns their paths, in order
 * @throws HubError that says what to do
 */
export async function downloadDataSet(part: DataSetPart, options: DownloadOptions): Promise<string[]> {
  const { repo, revision = PARQUET } = part;
  const folder = repoFolder(options.cacheDir, repo, 'datasets');
  // A commit never changes.
  if (options.offline || isCommit(revision)) {
    const found = await findDataSet(options.cacheDir, part);
    if (found) return found;
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
    const found = error.transient ? await findDataSet(options.cacheDir, part) : undefined;
    if (!found) throw error.failure === 'missing' ? noParquet(part, error) : error;
    options.onWarning?.(`${error.message}; the copy in the cache is used`);
    return found;
  }
  const { folder: split, files, isPartial } = chooseFiles(listing.files, part);
  if (isPartial)
    options.onWarning?.(`the hub has only the beginning of ${repo} (${part.split}) as Parquet, some 5 GB: the rest is not used`);
  const dir = path.join(folder, listing.commit);
  await mkdir(path.join(dir, split), { recursive: true });
  if (!(await isComplete(path.join(dir, split)))) {
    const urlOf = ({ name }: HubFile): string => `${client.endpoint}/datasets/${repo}/resolve/${listing.commit}/${urlPath(name)}`;
    await withLock(path.join(dir, split), () => downloadFiles({ dir, client, files, urlOf, options }));
    await markComplete(path.join(dir, split));
  }
  await writeTextFile(path.join(dir, LISTING), listingText(listing));
  await rememberRevision(folder, revision, listing.commit);
  return files.map(({ name }) => path.join(dir, name));
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
