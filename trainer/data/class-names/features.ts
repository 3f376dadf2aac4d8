/**
 * Reads names of classes from the description of a data set's columns, as Hugging Face's datasets writes it: as JSON (`Features.to_dict`) in
 * files and in dataset_info.json, and as YAML in the README.md of a data set on the hub.
 */
import { elementAt, isRecord } from '../../narrow.ts';

/** The columns of a data set, and the names of the classes of those that hold numbers of classes, or lists of them. */
export interface Features {
  readonly columns: readonly string[];
  /** Names by number for each such column. */
  readonly classes: ReadonlyMap<string, readonly string[]>;
}

/** Thrown for a description that cannot be used; the message says why and follows the name of its place. */
export class FeaturesError extends Error {
  override name = 'FeaturesError';
}

/** Maximum size of a description in bytes: that of ImageNet-21k, whose names are long, has one megabyte. */
export const MAX_FEATURES_BYTES = 4 * 2 ** 20;
/** Maximum number of names of a column: four times the classes of ImageNet-21k. */
const MAX_NAMES = 100_000;
/** Maximum length of a name. Those of ImageNet list synonyms and have up to 150 characters. */
const MAX_NAME_LENGTH = 1000;
/** Maximum number of lists around numbers of classes. */
const MAX_LISTS = 4;

/** The features in JSON text. @param isMetadata whether it is the metadata of a file @throws FeaturesError */
export function parseFeatures(text: string, isMetadata: boolean): Features {
  if (text.length > MAX_FEATURES_BYTES)
    throw new FeaturesError(`describes columns with ${text.length} characters; at most ${MAX_FEATURES_BYTES} are read`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FeaturesError('describes columns in malformed JSON');
  }
  const info = isMetadata && isRecord(value) ? value.info : value;
  return featuresOf(isRecord(info) ? info.features : undefined);
}

/** @throws FeaturesError for names that cannot be used */
function featuresOf(features: unknown): Features {
  if (!isRecord(features)) return { columns: [], classes: new Map() };
  return readColumns(Object.entries(features).map(([name, feature]) => [name, namesInFeature(feature)]));
}

type Column = readonly [name: string, names: unknown];

/** @throws FeaturesError */
function readColumns(columns: readonly Column[]): Features {
  const classes = new Map<string, readonly string[]>();
  for (const [name, names] of columns) if (names !== undefined) classes.set(name, checkedNames(name, names));
  return { columns: columns.map(([name]) => name), classes };
}

/** The names of a ClassLabel, within Sequence, List or `[feature]`; undefined for any other feature. */
function namesInFeature(feature: unknown): unknown {
  let inner = feature;
  for (let depth = 0; depth <= MAX_LISTS; depth++) {
    if (isRecord(inner) && inner._type === 'ClassLabel') return inner.names ?? null;
    inner = Array.isArray(inner) && inner.length === 1 ? elementAt(inner, 0) : isRecord(inner) ? inner.feature : undefined;
  }
  return undefined;
}

/** @throws FeaturesError unless these are different names */
function checkedNames(column: string, names: unknown): readonly string[] {
  const wrong = (what: string): FeaturesError => new FeaturesError(`gives the classes of "${column.slice(0, 100)}" ${what}`);
  if (!Array.isArray(names) || names.length === 0) throw wrong('no list of names');
  if (names.length > MAX_NAMES) throw wrong(`${names.length} names; at most ${MAX_NAMES} are read`);
  const found = names.map((name, at) => {
    const text = typeof name === 'string' ? name.trim() : '';
    if (text === '' || text.length > MAX_NAME_LENGTH)
      throw wrong(`a name (of class ${at}) that is not a text of 1 to ${MAX_NAME_LENGTH} characters`);
    return text;
  });
  const seen = new Set<string>();
  const twice = found.find(name => seen.size === seen.add(name).size);
  if (twice !== undefined) throw wrong(`the name "${twice}" twice`);
  return found;
}

/** The features of one configuration of a card: `features` is a list of columns. @throws FeaturesError */
export function cardFeatures(features: unknown): Features {
  const columns = Array.isArray(features) ? features.filter(isRecord) : [];
  return readColumns(columns.map(column => [String(column.name), namesInCard(column)]));
}

/** The names in a column of a card: `dtype`, `sequence` or `list`, possibly nested, with `class_label: names`. */
function namesInCard(column: Readonly<Record<string, unknown>>): unknown {
  let inner: unknown = column;
  for (let depth = 0; depth <= MAX_LISTS + 1 && isRecord(inner); depth++) {
    if (isRecord(inner.class_label)) return inList(inner.class_label.names);
    inner = inner.dtype ?? inner.sequence ?? inner.list;
  }
  return undefined;
}

/** Names as a list; a card lists them by number (`'0': neg`). Null for anything else. */
function inList(names: unknown): unknown {
  if (!isRecord(names)) return names ?? null;
  const list = Array.from({ length: Object.keys(names).length }, (_, at) => names[String(at)]);
  return list.map(name => (typeof name === 'number' || typeof name === 'boolean' ? String(name) : name));
}
