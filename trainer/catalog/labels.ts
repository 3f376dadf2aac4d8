/** The label of a catalog's entry: what a user reads wherever a name need not be typed. */
import { artifactCatalog } from './artifacts.ts';
import { engineCatalog } from './engines.ts';
import { entryOf } from './entries.ts';
import { measureCatalog } from './measures.ts';
import { methodCatalog } from './methods.ts';
import { objectiveCatalog } from './objectives.ts';

type Labels = Readonly<Record<string, { readonly label: string }>>;

const catalogs = {
  method: methodCatalog,
  measure: measureCatalog,
  objective: objectiveCatalog,
  engine: engineCatalog,
  artifact: artifactCatalog,
} satisfies Readonly<Record<string, Labels>>;

export type CatalogName = keyof typeof catalogs;

/** A name that this version does not know, from a file of another one, is its own label. */
export function labelIn(catalog: CatalogName, name: string): string {
  const labels: Labels = catalogs[catalog];
  return (Object.hasOwn(labels, name) ? labels[name]?.label : undefined) ?? name;
}

/** The label of a run's method, by the part of each weight that it trains: `trains` of its recipe, where that is known. */
export function methodLabel(method: string, trains?: string): string {
  const parts: Readonly<Record<string, string>> = entryOf(methodCatalog, method)?.labelOf ?? {};
  return (trains !== undefined && Object.hasOwn(parts, trains) ? parts[trains] : undefined) ?? labelIn('method', method);
}

/** The settings whose values are names of a catalog, by their dotted path. */
const settings: Readonly<Record<string, CatalogName>> = {
  method: 'method',
  task: 'objective',
  engine: 'engine',
  'importance.measure': 'measure',
};

/** Undefined for a setting or a value that has no label. */
export function labelOfSetting(path: string, value: string | undefined): string | undefined {
  const catalog = settings[path];
  if (catalog === undefined || value === undefined) return undefined;
  const label = labelIn(catalog, value);
  return label === value ? undefined : label;
}
