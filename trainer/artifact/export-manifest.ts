/** The list of files in an exported folder. It lets an export recognize its own output, and replace nothing else. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { ADAPTER_DESCRIPTION, ADAPTER_WEIGHTS } from '../adapter/adapter.ts';
import type { ExportFormat } from '../catalog/artifacts.ts';
import { checksum, showChecksum } from '../files/checksum.ts';
import { writeTextFile } from '../files/durable-file.ts';
import { MAX_JSON_BYTES, readRegularFile, readRegularText } from '../files/regular-file.ts';
import { parseSealedJson, sealJson } from '../files/sealed-json.ts';
import { EXPORT_MANIFEST } from '../protocol/export-manifest-name.ts';

/** Maximum size of files whose content is compared. Larger files are weights, which nobody edits by hand: only their size is compared. */
const MAX_READ_BYTES = 64 * 2 ** 20;

const fileSchema = z.object({ bytes: z.number(), crc32: z.string().optional() });
const manifestSchema = z.object({ version: z.literal(1), files: z.record(z.string(), fileSchema) });

type FileRecord = z.infer<typeof fileSchema>;

/** Lists the files of a folder that is otherwise complete. @param commands commands that use it, by program */
export async function writeManifest(dir: string, format: ExportFormat, commands?: Readonly<Record<string, string>>): Promise<void> {
  const names = await exportedFiles(dir);
  const files: Record<string, FileRecord> = {};
  for (const name of names) files[name] = await recordOf(join(dir, name));
  const list = { version: 1, created_by: `rowtune ${manifest.version}`, format, files, ...(commands && { commands }) };
  await writeTextFile(join(dir, EXPORT_MANIFEST), sealJson(JSON.stringify(list, null, 2)));
}

/** The files of an export by their paths in it, including those in its folders. @param isOwn returns whether to look into a folder */
export async function exportedFiles(dir: string, isOwn: (folder: string) => boolean = () => true): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const files = entries.map(async entry =>
    entry.isDirectory() && isOwn(entry.name) ? (await readdir(join(dir, entry.name))).map(name => `${entry.name}/${name}`) : [entry.name],
  );
  return (await Promise.all(files)).flat().sort();
}

async function recordOf(file: string): Promise<FileRecord> {
  const { size } = await stat(file);
  if (size > MAX_READ_BYTES) return { bytes: size };
  return { bytes: size, crc32: showChecksum(checksum(await readRegularFile(file, MAX_READ_BYTES))) };
}

/** A file in the folder of an export. */
export interface ExportPart {
  readonly name: string;
  /** The state of the file; `other` means that no export wrote it. */
  readonly state: 'same' | 'changed' | 'other';
}

/** Describes the files of a folder that no export wrote or that have changed since; empty if the whole folder may be replaced. */
export async function foreignParts(dir: string): Promise<string[]> {
  const files = await readManifest(dir);
  const parts = await partsOf(dir, files);
  // Exports of the first version had no list; an adapter is recognized by its two files.
  if (parts.map(({ name }) => name).join() === [ADAPTER_WEIGHTS, ADAPTER_DESCRIPTION].join()) return [];
  return parts.flatMap(({ name, state }) => (state === 'same' ? [] : state === 'other' ? [name] : [`${name} (changed since)`]));
}

/** The files of an exported folder, including its list; undefined for any other folder. */
export async function exportParts(dir: string): Promise<readonly ExportPart[] | undefined> {
  const files = await readManifest(dir);
  return files && partsOf(dir, files);
}

async function partsOf(dir: string, files: Readonly<Record<string, FileRecord>> | undefined): Promise<ExportPart[]> {
  const folders = new Set(Object.keys(files ?? {}).flatMap(name => (name.includes('/') ? [name.slice(0, name.indexOf('/'))] : [])));
  const parts: ExportPart[] = [];
  for (const name of await exportedFiles(dir, folder => folders.has(folder))) {
    const recorded = files !== undefined && Object.hasOwn(files, name) ? files[name] : undefined;
    if (recorded === undefined) parts.push({ name, state: name === EXPORT_MANIFEST && files !== undefined ? 'same' : 'other' });
    else parts.push({ name, state: isSame(recorded, await recordOf(join(dir, name)).catch(() => undefined)) ? 'same' : 'changed' });
  }
  return parts;
}

const isSame = (recorded: FileRecord, now: FileRecord | undefined): boolean =>
  recorded.bytes === now?.bytes && (recorded.crc32 === undefined || recorded.crc32 === now.crc32);

async function readManifest(dir: string): Promise<Readonly<Record<string, FileRecord>> | undefined> {
  try {
    return manifestSchema.parse(parseSealedJson(await readRegularText(join(dir, EXPORT_MANIFEST), MAX_JSON_BYTES)).value).files;
  } catch {
    return undefined;
  }
}
