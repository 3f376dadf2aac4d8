/** Finds the description of a data file's columns: in its own metadata, or in a file next to it. */
import path from 'node:path';
import type { FileMetaData } from 'hyparquet';
import { readRegularText } from '../../files/regular-file.ts';
import type { DataFile } from '../read/list-files.ts';
import { openParquet } from '../read/read-parquet.ts';
import { configsOf, readCard } from './card.ts';
import { type Features, FeaturesError, MAX_FEATURES_BYTES, parseFeatures } from './features.ts';

/** The description of a file's columns. */
export interface FileFeatures {
  readonly file: string;
  /** The file that describes the columns. */
  readonly source: string;
  /** One description, or several if the file may belong to several configurations of a data set. */
  readonly features: readonly Features[];
}

/** The key of the metadata that datasets writes. */
const METADATA_KEY = 'huggingface';
/** The description that `save_to_disk` writes. */
const SAVED_INFO = 'dataset_info.json';
const CARD = 'README.md';
/** Number of folders above a file in which a card may describe it, as in `config/split/0000.parquet`. */
const CARD_LEVELS = 3;

export interface FeaturesFinder {
  /** The description of a file's columns; undefined if there is none. Does not reject. */
  find(file: DataFile): Promise<FileFeatures | undefined>;
  /** The description in the metadata of a Parquet file. Does not reject. */
  findIn(file: string, metadata: FileMetaData): Promise<FileFeatures | undefined>;
  /** Remarks about descriptions that are not used. */
  readonly ignored: readonly string[];
}

/** Returns a finder that reads each description only once. */
export function featuresFinder(): FeaturesFinder {
  const ignored: string[] = [];
  const texts = new Map<string, Promise<string | undefined>>();
  /** The text of a file; undefined if there is no such file. */
  const textOf = (name: string): Promise<string | undefined> => {
    const known = texts.get(name) ?? readRegularText(name, MAX_FEATURES_BYTES).catch(() => undefined);
    texts.set(name, known);
    return known;
  };
  /** The description, or undefined if it is damaged. Other errors of a file are reported when its samples are read. */
  const attempt = async <T>(source: string, work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      const note = error instanceof FeaturesError ? ignoredText(source, error) : undefined;
      if (note !== undefined && !ignored.includes(note)) ignored.push(note);
      return undefined;
    }
  };
  const ofFolder = async (file: string): Promise<FileFeatures | undefined> => {
    const source = path.join(path.dirname(file), SAVED_INFO);
    const text = await textOf(source);
    const features = text === undefined ? undefined : await attempt(source, () => parseFeatures(text, false));
    return features && describes([features]) ? { file, source, features: [features] } : undefined;
  };
  const ofCard = async (file: string): Promise<FileFeatures | undefined> => {
    const names: string[] = [/^\w+/.exec(path.basename(file))?.[0] ?? ''];
    let folder = path.dirname(file);
    for (let level = 0; level < CARD_LEVELS; level++) {
      const source = path.join(folder, CARD);
      const text = await textOf(source);
      const card = text === undefined ? undefined : await attempt(source, () => readCard(text));
      const features = configsOf(card ?? [], names).map(config => config.features);
      if (describes(features)) return { file, source, features };
      names.push(path.basename(folder));
      folder = path.dirname(folder);
    }
    return undefined;
  };
  const ofFile = async (file: string, read: () => Features | undefined | Promise<Features | undefined>) => {
    const own = await attempt(file, read);
    return own && describes([own]) ? { file, source: file, features: [own] } : undefined;
  };
  return {
    ignored,
    find: async ({ file, extension }) => (await ofFile(file, () => ownFeatures(file, extension))) ?? (await ofFolder(file)) ?? ofCard(file),
    findIn: (file, metadata) => ofFile(file, () => parquetFeatures(metadata)),
  };
}

const describes = (features: readonly Features[]): boolean => features.some(({ classes }) => classes.size > 0);

/** A note that a description is not used. */
const ignoredText = (source: string, { message }: FeaturesError): string => `${source} ${message}, so its names of classes are not used`;

/** The description in a file's own metadata. @throws FeaturesError; errors of a damaged file */
async function ownFeatures(file: string, extension: DataFile['extension']): Promise<Features | undefined> {
  if (extension === '.parquet') {
    const { handle, metadata } = await openParquet(file);
    await handle.close();
    return parquetFeatures(metadata);
  }
  if (extension !== '.arrow') return undefined;
  const { arrowMetadata } = await import('../read/read-arrow.ts');
  const text = await arrowMetadata(file, METADATA_KEY);
  return text === undefined ? undefined : parseFeatures(text, true);
}

/** The description in the metadata of a Parquet file. @throws FeaturesError */
function parquetFeatures({ key_value_metadata: entries = [] }: FileMetaData): Features | undefined {
  const text = entries.find(({ key }) => key === METADATA_KEY)?.value;
  return text === undefined ? undefined : parseFeatures(text, true);
}
