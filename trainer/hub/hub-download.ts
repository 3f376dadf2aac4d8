/** Downloads models by their names on the hub to folders in the cache. */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileSize } from '../format/model-config.ts';
import { isHubName } from '../protocol/hub-name.ts';
import { findComplete, isCommit, markComplete, type RepoKind, rememberRevision, repoFolder, requireSpace, withLock } from './hub-cache.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, type HubListing, neededFiles, parseListing, urlPath } from './hub-files.ts';
import { type HubClient, requestJson } from './hub-http.ts';
import { type Transfer, transferOnce } from './hub-transfer.ts';

const DEFAULT_ENDPOINT = 'https://huggingface.co';
/** Number of attempts without a single new byte before giving up. */
const MAX_ATTEMPTS = 5;
const MAX_RETRY_DELAY_MS = 30_000;

export interface DownloadProgress {
  readonly file: string;
  readonly fileBytes: number;
  readonly fileSize: number;
  /** Number of bytes received; `totalBytes` is the total size of the files of this download. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface DownloadOptions {
  readonly cacheDir: string;
  /** A branch, tag or commit; `main` if left out. */
  readonly revision?: string | undefined;
  readonly endpoint?: string | undefined;
  /** The token, sent only to the endpoint's own host. */
  readonly token?: string | undefined;
  /** Whether to use only the cache and not the network. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Called if the hub cannot be reached and an earlier download is used, and for each retry. */
  readonly onWarning?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds before the second attempt; doubles with each attempt. 1000 if left out. */
  readonly retryDelayMs?: number | undefined;
}

/**
 * Downloads the files that a model needs (config, tokenizer, safetensors or the only GGUF file) unless they are in the cache, and returns
 * their folder. An interrupted download is continued by the next call.
 * @throws HubError with a remedy
 */
export async function downloadModel(repo: string, options: DownloadOptions): Promise<string> {
  const revision = options.revision ?? 'main';
  if (!isHubName(repo)) throw new HubError('missing', `"${repo}" is not the name of a model on the hub: it has the form organization/name`);
  const folder = repoFolder(options.cacheDir, repo);
  const complete = await findComplete(folder, revision);
  if (complete !== undefined && (options.offline || isCommit(revision))) return complete;
  if (options.offline) {
    throw new HubError(
      'offline',
      `the model ${repo} (${revision}) is not in the cache ${options.cacheDir}, and the network is switched off by HF_HUB_OFFLINE. Unset it to download the model once, or name a local folder`,
    );
  }
  const client = clientOf(options);
  let listing: HubListing;
  try {
    listing = await withRetries(options, () => fetchListing(client, { repo, revision }));
  } catch (error) {
    if (complete === undefined || !(error instanceof HubError) || !error.transient) throw error;
    options.onWarning?.(`${error.message}; the copy in the cache is used`);
    return complete;
  }
  const dir = join(folder, listing.commit);
  if ((await findComplete(folder, listing.commit)) === undefined) {
    await mkdir(dir, { recursive: true });
    const files = neededFiles(listing, repo);
    const urlOf = ({ name }: HubFile): string => `${client.endpoint}/${repo}/resolve/${listing.commit}/${urlPath(name)}`;
    await withLock(dir, () => downloadFiles({ dir, client, files, urlOf, options }));
    await markComplete(dir);
  }
  await rememberRevision(folder, revision, listing.commit);
  return dir;
}

export const clientOf = ({
  endpoint = DEFAULT_ENDPOINT,
  token,
  signal,
}: Pick<DownloadOptions, 'endpoint' | 'token' | 'signal'>): HubClient => ({
  endpoint: endpoint.replace(/\/+$/, ''),
  token,
  signal,
});

export interface ListingRequest {
  readonly repo: string;
  readonly revision: string;
  readonly kind?: RepoKind;
  /** Matches the names of files to list; if left out, those of a model. */
  readonly names?: RegExp;
}

export async function fetchListing(client: HubClient, { repo, revision, kind = 'models', names }: ListingRequest): Promise<HubListing> {
  const url = `${client.endpoint}/api/${kind}/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  return parseListing(await requestJson(client, url), repo, names);
}

interface FilesToDownload {
  readonly dir: string;
  readonly client: HubClient;
  readonly files: readonly HubFile[];
  readonly urlOf: (file: HubFile) => string;
  readonly options: DownloadOptions;
}

/** Downloads files. Complete files are skipped; interrupted ones are continued. @throws HubError */
export async function downloadFiles({ dir, client, files, urlOf, options }: FilesToDownload): Promise<void> {
  const totalBytes = files.reduce((n, file) => n + file.size, 0);
  let missing = 0;
  for (const file of files)
    missing += file.size - ((await fileSize(join(dir, file.name))) ?? (await fileSize(join(dir, `${file.name}.part`))) ?? 0);
  await requireSpace(dir, Math.max(0, missing));
  let before = 0;
  for (const file of files) {
    const path = join(dir, file.name);
    const report = (bytes: number): void =>
      options.onProgress?.({ file: file.name, fileBytes: bytes, fileSize: file.size, bytes: before + bytes, totalBytes });
    if ((await fileSize(path)) !== file.size) {
      await mkdir(dirname(path), { recursive: true });
      await transfer({ client, url: urlOf(file), file, path, onBytes: report }, options);
    }
    report(file.size);
    before += file.size;
  }
}

async function transfer(once: Transfer, options: DownloadOptions): Promise<void> {
  const partSize = async (): Promise<number> => (await fileSize(`${once.path}.part`)) ?? 0;
  try {
    await withRetries(options, () => transferOnce(once), partSize);
  } catch (error) {
    if (!(error instanceof HubError) || !error.transient || error.failure === 'damaged') throw error;
    const message = `${error.message}; ${await partSize()} of ${once.file.size} bytes of ${once.file.name} are kept: the same command continues there`;
    throw new HubError('interrupted', message, { cause: error });
  }
}

export type RetryOptions = Pick<DownloadOptions, 'onWarning' | 'signal' | 'retryDelayMs'>;

/** Retries after transient failures, with increasing delays. Attempts that made progress (`progress`) do not count. */
export async function withRetries<T>(
  options: RetryOptions,
  work: () => Promise<T>,
  progress: () => Promise<number> = async () => 0,
): Promise<T> {
  let failures = 0;
  for (;;) {
    const before = await progress();
    try {
      return await work();
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof HubError) || !error.transient) throw error;
      failures = (await progress()) > before ? 1 : failures + 1;
      if (failures >= MAX_ATTEMPTS) throw error;
      const waitMs = Math.min(MAX_RETRY_DELAY_MS, (options.retryDelayMs ?? 1000) * 2 ** (failures - 1));
      options.onWarning?.(`${error.message}; next attempt in ${(waitMs / 1000).toFixed(1)} s`);
      await delay(waitMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  }
}
