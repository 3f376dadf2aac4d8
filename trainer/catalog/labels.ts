/** Labels of catalog entries, for display wherever the user need not type a name. */
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

/** The label of a name. A name that this version does not know, from a file of another version, is its own label. */
export function labelIn(catalog: CatalogName, name: string): string {
  const labels: Labels = catalogs[catalog];
  return (Object.hasOwn(labels, name) ? labels[name]?.label : undefined) ?? name;
}

/** The label of a run's method, depending on the part of each weight that it trains (`trains` of its recipe), if known. */
export function methodLabel(method: string, trains?: string): string {
  const parts: Readonly<Record<string, string>> = entryOf(methodCatalog, method)?.labelOf ?? {};
  return (trains !== undefined && Object.hasOwn(parts, trains) ? parts[trains] : undefined) ?? labelIn('method', method);
}

/** The catalogs of the settings whose values are catalog names, by dotted path. */
const settings: Readonly<Record<string, CatalogName>> = {
  method: 'method',
  task: 'objective',
  engine: 'engine',
  'importance.measure': 'measure',
};

/** The label of a setting's value; undefined for a setting or a value without a label. */
export function labelOfSetting(path: string, value: string | undefined): string | undefined {
  const catalog = settings[path];
  if (catalog === undefined || value === undefined) return undefined;
  const label = labelIn(catalog, value);
  return label === value ? undefined : label;
}
