/** Remembers the parts of large files that the hub's storage already has, so that an interrupted push continues with the next part. */
import { createHash } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../files/durable-file.ts';
import { MAX_JSON_BYTES, readRegularText } from '../files/regular-file.ts';
import { isRecord, recordIn } from '../narrow.ts';
import { HubError } from './hub-error.ts';
import { jsonOf } from './hub-http.ts';

/** The addresses for the parts of a file, from the hub. They permit anyone to upload, so the journal is readable only by its owner. */
const actionSchema = z.looseObject({ href: z.string(), header: z.record(z.string(), z.string()) });
/** A line of the journal: an upload begins, storage has a part of it, or it ends. */
const entrySchema = z.union([
  z.strictObject({ begin: z.string(), size: z.number(), begunMs: z.number(), action: actionSchema }),
  z.strictObject({ part: z.string(), etag: z.string() }),
  z.strictObject({ end: z.string() }),
]);

type Entry = z.infer<typeof entrySchema>;
type UploadAction = z.infer<typeof actionSchema>;

interface Upload {
  readonly oid: string;
  readonly size: number;
  readonly begunMs: number;
  readonly action: UploadAction;
  /** The storage's answers for completed parts, by the address of the part. */
  readonly parts: Map<string, string>;
}

/** Addresses without an expiry time are reused for half a day. */
const DEFAULT_LIFE_MS = 12 * 3600e3;
/** Time before the expiry that is reserved for the rest of the upload. */
const MARGIN_MS = 600e3;

/** Thrown if storage refuses an upload that an earlier push began. The journal has dropped it, so a retry starts over. */
export class StaleUploadError extends HubError {
  override name = 'StaleUploadError';
}

/** The uploads that are still open after the entries so far. */
class OpenUploads {
  readonly byOid = new Map<string, Upload>();
  private readonly byAddress = new Map<string, Upload>();

  of(url: string): Upload | undefined {
    return this.byAddress.get(url);
  }

  add(entry: Entry): void {
    if ('begin' in entry) {
      const { begin: oid, ...upload } = entry;
      this.drop(oid);
      const begun = { oid, ...upload, parts: new Map<string, string>() };
      this.byOid.set(oid, begun);
      for (const address of addressesOf(begun)) this.byAddress.set(address, begun);
    } else if ('part' in entry) this.of(entry.part)?.parts.set(entry.part, entry.etag);
    else this.drop(entry.end);
  }

  private drop(oid: string): void {
    const upload = this.byOid.get(oid);
    for (const address of upload ? addressesOf(upload) : []) this.byAddress.delete(address);
    this.byOid.delete(oid);
  }
}

export class UploadJournal {
  private readonly file: string;
  private readonly uploads: OpenUploads;
  /** Uploads of earlier pushes. */
  private readonly earlier: Set<string>;
  /** Addresses of uploads that storage has abandoned. */
  private readonly refused = new Set<string>();
  private written: Promise<void> = Promise.resolve();

  private constructor(file: string, uploads: OpenUploads) {
    this.file = file;
    this.uploads = uploads;
    this.earlier = new Set(uploads.byOid.keys());
  }

  /**
   * Reads the entries of earlier pushes, without uploads that have ended.
   * @param target the address of the repository
   */
  static async open(cacheDir: string, target: string): Promise<UploadJournal> {
    const folder = path.join(cacheDir, 'pushes');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = path.join(folder, `${createHash('sha256').update(target).digest('hex').slice(0, 40)}.jsonl`);
    const found = new OpenUploads();
    for (const entry of entriesIn(await readRegularText(file, MAX_JSON_BYTES).catch(() => ''))) found.add(entry);
    const uploads = new OpenUploads();
    for (const upload of found.byOid.values()) if (isAlive(upload, Date.now())) for (const entry of entriesOf(upload)) uploads.add(entry);
    // Rewritten as whole lines, because entries after an incomplete line would be lost.
    const text = [...uploads.byOid.values()].flatMap(upload => entriesOf(upload).map(lineOf)).join('');
    await writeDurably(file, handle => handle.writeFile(text), { mode: 0o600 });
    return new UploadJournal(file, uploads);
  }

  /** The upload to continue, or the given one, which is recorded as new. */
  async actionFor(oid: string, size: number, given: UploadAction): Promise<UploadAction> {
    const known = this.uploads.byOid.get(oid);
    if (known?.size === size && known.action.header.chunk_size === given.header.chunk_size) return known.action;
    await this.add({ begin: oid, size, begunMs: Date.now(), action: given });
    return given;
  }

  /** The storage's answer for a part that it already has. */
  etagOf(url: string): string | undefined {
    return this.uploads.of(url)?.parts.get(url);
  }

  async partDone(url: string, etag: string): Promise<void> {
    if (this.uploads.of(url)) await this.add({ part: url, etag });
  }

  /** Records that the upload of an address is complete. */
  async complete(url: string): Promise<void> {
    const upload = this.uploads.of(url);
    if (upload) await this.add({ end: upload.oid });
  }

  /** Drops the upload of an address that storage refuses. @returns whether an earlier push began it */
  async giveUp(url: string): Promise<boolean> {
    const upload = this.uploads.of(url);
    if (upload !== undefined && this.earlier.delete(upload.oid)) {
      for (const address of addressesOf(upload)) this.refused.add(address);
      await this.complete(url);
    }
    return this.refused.has(url);
  }

  /** Resolves when all entries are on disk. */
  settled(): Promise<void> {
    return this.written;
  }

  /** Removes the journal after everything was committed. */
  async remove(): Promise<void> {
    await this.written;
    await rm(this.file, { force: true });
  }

  /** Appends an entry; entries are written one after the other. */
  private add(entry: Entry): Promise<void> {
    this.uploads.add(entry);
    this.written = this.written.then(async () => {
      const handle = await open(this.file, 'a', 0o600);
      try {
        await handle.appendFile(lineOf(entry));
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
    return this.written;
  }
}

const lineOf = (entry: Entry): string => `${JSON.stringify(entry)}\n`;

/** The entries of whole lines; a killed process may have left an incomplete last line. */
const entriesIn = (text: string): Entry[] =>
  text.split('\n').flatMap(line => {
    const { data } = entrySchema.safeParse(recordIn(line));
    return data === undefined ? [] : [data];
  });

const entriesOf = ({ oid, size, begunMs, action, parts }: Upload): Entry[] => [
  { begin: oid, size, begunMs, action },
  ...[...parts].map(([part, etag]) => ({ part, etag })),
];

const addressesOf = ({ action: { href, header } }: Pick<Upload, 'action'>): readonly string[] => [href, ...Object.values(header)];

/** True if an upload has not expired: the addresses contain their expiry time, in the form of S3. */
function isAlive(upload: Pick<Upload, 'action' | 'begunMs'>, nowMs: number): boolean {
  const ends = addressesOf(upload).flatMap(value => endOf(value) ?? []);
  return nowMs + MARGIN_MS < (ends.length > 0 ? Math.min(...ends) : upload.begunMs + DEFAULT_LIFE_MS);
}

function endOf(address: string): number | undefined {
  if (!URL.canParse(address)) return undefined;
  const { searchParams } = new URL(address);
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(searchParams.get('X-Amz-Date') ?? '') ?? [];
  const seconds = Number(searchParams.get('X-Amz-Expires') ?? Number.NaN);
  if (year === undefined || !Number.isFinite(seconds)) return undefined;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) + seconds * 1000;
}

/**
 * Returns a `fetch` for uploads that only sends parts which the storage lacks.
 * @param onBytes receives the size of each part that is not sent again
 */
export function resumingFetch(inner: typeof fetch, journal: UploadJournal, onBytes: (bytes: number) => void): typeof fetch {
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (init?.method === 'POST' && new URL(url).pathname.endsWith('/objects/batch'))
      return withEarlierUploads(await inner(input, init), url, journal);
    const known = init?.method === 'PUT' ? journal.etagOf(url) : undefined;
    if (known !== undefined) {
      if (init?.body instanceof Blob) onBytes(init.body.size);
      return new Response(null, { status: 200, headers: { etag: known } });
    }
    const response = await inner(input, init);
    if (!response.ok) {
      if (await journal.giveUp(url))
        throw new StaleUploadError('interrupted', 'the hub no longer has an upload that an earlier push began');
      return response;
    }
    const etag = response.headers.get('etag');
    if (init?.method === 'PUT' && etag !== null) await journal.partDone(url, etag);
    else if (init?.method === 'POST') await journal.complete(url);
    return response;
  };
}

/** The hub's list of uploads, with interrupted ones replaced by their earlier addresses. */
async function withEarlierUploads(response: Response, url: string, journal: UploadJournal): Promise<Response> {
  if (!response.ok) return response;
  const list = await jsonOf(response, url);
  for (const object of isRecord(list) && Array.isArray(list.objects) ? list.objects.filter(isRecord) : []) {
    const { oid, size, actions } = object;
    const upload = isRecord(actions) ? actionSchema.safeParse(actions.upload).data : undefined;
    if (upload?.header.chunk_size === undefined || typeof oid !== 'string' || typeof size !== 'number') continue;
    object.actions = { ...(isRecord(actions) && actions), upload: await journal.actionFor(oid, size, upload) };
  }
  return new Response(JSON.stringify(list), { status: response.status, headers: response.headers });
}
