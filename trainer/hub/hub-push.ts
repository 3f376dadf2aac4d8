/** Pushes a folder of files to a repository on the hub: uploads the files that the hub lacks, and commits them at once. */
import { pathToFileURL } from 'node:url';
import { commit, createRepo, HubApiError, whoAmI } from '@huggingface/hub';
import { isRecord } from '../narrow.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { isHubName } from '../protocol/hub-name.ts';
import { clientOf, type DownloadOptions } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, type HubListing, parseListing } from './hub-files.ts';
import { requestJson } from './hub-http.ts';
import { hashFile, hashOf } from './hub-transfer.ts';
import { pushFetch } from './push-fetch.ts';
import { resumingFetch, StaleUploadError, UploadJournal } from './upload-journal.ts';

export interface PushFile {
  /** The path in the repository. */
  readonly name: string;
  readonly path: string;
  readonly size: number;
}

export interface PushProgress {
  readonly phase: 'hash' | 'upload';
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface PushParams extends Pick<DownloadOptions, 'cacheDir' | 'endpoint' | 'signal' | 'retryDelayMs' | 'onWarning'> {
  /** `organization/name`, or a name that belongs to the token's user. */
  readonly repo: string;
  readonly files: readonly PushFile[];
  readonly token: string;
  /** Whether the repository may be public: otherwise a new repository is private, and a public one is refused. */
  readonly isPublic: boolean;
  /** The title of the commit. */
  readonly message: string;
  /** Whether to report what would be done without doing it. */
  readonly isDryRun: boolean;
  readonly onProgress?: (progress: PushProgress) => void;
}

export interface PushResult {
  readonly repo: string;
  readonly url: string;
  readonly visibility: 'private' | 'public';
  /** Whether the repository was created, or would be. */
  readonly isNew: boolean;
  /** Files that the hub lacked. */
  readonly uploaded: readonly Pick<PushFile, 'name' | 'size'>[];
  /** Names of files that the hub already has. */
  readonly unchanged: readonly string[];
  /** The commit with these files; missing if the repository does not exist yet. */
  readonly commit?: string;
}

/**
 * Pushes files. If a push is interrupted, complete large files and parts of incomplete ones stay in the hub's storage, so the next push
 * does not send them again.
 * @throws HubError with a remedy
 */
export async function pushFiles(given: PushParams): Promise<PushResult> {
  const endpoint = clientOf(given).endpoint;
  const params: Params = { ...given, endpoint, repo: await fullName(given, endpoint) };
  const { repo, isPublic, isDryRun } = params;
  const found = await readRepository(params);
  if (found !== undefined && !found.isPrivate && !isPublic)
    throw new HubError('public', `${repo} is public, so everyone could read what is pushed: confirm with --public, or choose another name`);
  const isNew = found === undefined;
  const { missing, unchanged } = await compare(params, found?.listing.files ?? []);
  const visibility = (isNew ? isPublic : !found.isPrivate) ? 'public' : 'private';
  const uploaded = missing.map(({ name, size }) => ({ name, size }));
  const result = { repo, url: `${endpoint}/${repo}`, visibility, isNew, uploaded, unchanged } as const;
  if (isDryRun || (missing.length === 0 && !isNew)) return { ...result, ...(found && { commit: found.listing.commit }) };
  if (isNew) await create(params);
  return { ...result, commit: await upload(params, missing, found?.listing.commit) };
}

interface Params extends PushParams {
  readonly endpoint: string;
}

/** The arguments of every call of the library. */
const callOf = ({ endpoint, token, ...retries }: Params, onBytes: (bytes: number) => void = () => undefined) =>
  ({ hubUrl: endpoint, accessToken: token, fetch: pushFetch({ ...retries, onBytes }) }) as const;

/** Checks the token, and completes a name without an organization. */
async function fullName(params: PushParams, endpoint: string): Promise<string> {
  const { repo, token } = params;
  if (!isHubName(repo)) throw new HubError('missing', `"${repo}" is not the name of a repository: it has the form organization/name`);
  if (!token.startsWith('hf_'))
    throw new HubError(
      'gated',
      'the token does not begin with hf_: create an access token with the role "write" in the settings of your account',
    );
  const user = await explained('check the token', repo, () => whoAmI(callOf({ ...params, endpoint })));
  if (user.auth.accessToken?.role === 'read')
    throw new HubError(
      'gated',
      `the token ${JSON.stringify(user.auth.accessToken.displayName)} can only read: create one with the role "write"`,
    );
  return repo.includes('/') ? repo : `${user.name}/${repo}`;
}

/** Reads the repository; undefined if it does not exist, or is not visible with this token. */
async function readRepository(params: Params): Promise<{ readonly listing: HubListing; readonly isPrivate: boolean } | undefined> {
  const { endpoint, repo } = params;
  try {
    const json = await requestJson(clientOf(params), `${endpoint}/api/models/${repo}/revision/main?blobs=true`);
    return { listing: parseListing(json, repo), isPrivate: isRecord(json) && json.private === true };
  } catch (error) {
    if (error instanceof HubError && error.failure === 'missing') return undefined;
    throw error;
  }
}

async function create(params: Params): Promise<void> {
  const { repo, isPublic } = params;
  await explained(`create ${repo}`, repo, () =>
    createRepo({ ...callOf(params), repo: { type: 'model', name: repo }, visibility: isPublic ? 'public' : 'private' }),
  );
}

/** Finds files that differ from those on the hub, by their hashes. */
async function compare(
  { files, onProgress, signal }: Params,
  there: readonly HubFile[],
): Promise<{ readonly missing: readonly PushFile[]; readonly unchanged: readonly string[] }> {
  const pairs = files.map(file => ({ file, other: there.find(({ name, size }) => name === file.name && size === file.size) }));
  const totalBytes = pairs.reduce((sum, { file, other }) => sum + (other ? file.size : 0), 0);
  let bytes = 0;
  const onChunk = (size: number): void => {
    signal?.throwIfAborted();
    bytes += size;
    onProgress?.({ phase: 'hash', bytes, totalBytes });
  };
  const missing: PushFile[] = [];
  for (const { file, other } of pairs) if (!other || !(await isSame(file, other, onChunk))) missing.push(file);
  return { missing, unchanged: files.filter(file => !missing.includes(file)).map(({ name }) => name) };
}

async function isSame({ path, size }: PushFile, there: HubFile, onChunk: (bytes: number) => void): Promise<boolean> {
  const hash = hashOf(there);
  await hashFile(hash, path, size, onChunk);
  return hash.digest('hex') === (there.sha256 ?? there.gitSha1);
}

/** Uploads and commits files. @param parent the commit with which the files were compared @returns the new commit */
async function upload(params: Params, files: readonly PushFile[], parent: string | undefined): Promise<string> {
  const { repo, message, onProgress, signal } = params;
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  let bytes = 0;
  const onBytes = (more: number): void => {
    bytes += more;
    onProgress?.({ phase: 'upload', bytes, totalBytes });
  };
  const journal = await UploadJournal.open(params.cacheDir, `${params.endpoint}/${repo}`);
  const call = callOf(params, onBytes);
  const send = () => {
    bytes = 0;
    return commit({
      ...call,
      fetch: resumingFetch(call.fetch, journal, onBytes),
      repo: { type: 'model', name: repo },
      title: message,
      operations: files.map(({ name, path }) => ({ operation: 'addOrUpdate', path: name, content: pathToFileURL(path) })),
      // The library's other protocol needs a separate service.
      useXet: false,
      ...(parent !== undefined && { parentCommit: parent }),
      ...(signal && { abortSignal: signal }),
    });
  };
  const again = (error: unknown) => {
    if (!(error instanceof StaleUploadError)) throw error;
    params.onWarning?.(`${error.message}; the upload starts over`);
    return send();
  };
  const made = await explained(`push to ${repo}`, repo, () =>
    send()
      .catch(again)
      .finally(() => journal.settled()),
  );
  await journal.remove();
  onProgress?.({ phase: 'upload', bytes: totalBytes, totalBytes });
  if (made === undefined) throw new HubError('server', `the hub made no commit of ${repo}: try again`);
  return made.commit.oid;
}

/** Runs a call of the library. @throws HubError in place of the library's errors */
async function explained<T>(what: string, repo: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof HubApiError) throw statusError(what, repo, error);
    if (error instanceof HubError && error.transient)
      throw new HubError('interrupted', `${error.message}; what was uploaded is kept: the same command continues there`, {
        cause: error,
      });
    throw error;
  }
}

const ADVICE: Readonly<Record<number, string>> = {
  401: 'the token is not valid: create one with the role "write" in the settings of your account',
  403: 'the token may not write there: give it write access to this repository or organization',
  404: 'there is no such repository or organization for this token: check the name, and what the token may reach',
  409: 'someone else created or changed the repository meanwhile: run the same command again',
  412: 'someone else changed the repository meanwhile: run the same command again',
};

function statusError(what: string, repo: string, { statusCode, message, cause }: HubApiError): HubError {
  const advice = ADVICE[statusCode] ?? `check the name ${repo} and the message of the hub`;
  const failure = statusCode === 401 || statusCode === 403 ? 'gated' : statusCode === 404 ? 'missing' : 'server';
  return new HubError(failure, `the hub refuses to ${what} (${statusCode}): ${advice}. It says: ${messageOf(message)}`, { cause });
}
