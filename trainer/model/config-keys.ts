/**
 * The keys of a config.json as data: each family lists every key that it knows in one table, as computed, without effect, or refused.
 * Loading and linting read the same tables. A key that no table lists is reported, since an unknown key may well have an effect.
 */

import { z } from 'zod';
import { didYouMean } from '../catalog/did-you-mean.ts';
import { isRecord } from '../narrow.ts';
import type { ConfigJson } from './config-json.ts';
import { type ConfigProblem, ModelConfigError } from './model-spec.ts';

/** The model is computed according to this key, within the schema's bounds. */
export interface ComputedKey<Schema extends z.ZodType = z.ZodType> {
  readonly class: 'computed';
  readonly schema: Schema;
  /** The supported values among those of the schema; all by default. */
  readonly only?: readonly unknown[] | undefined;
  /** All other words that mean something in Transformers, if they are known: any further word is a misspelling. */
  readonly otherWords?: readonly string[] | undefined;
}

/** Any value gives the same model outputs. */
export interface KeyWithoutEffect {
  readonly class: 'without-effect';
  readonly why: string;
}

/** Other values would change the computation and are not supported; absent and null mean the default. */
export interface RefusedKey {
  readonly class: 'refused';
  readonly unless: (config: ConfigJson) => readonly unknown[];
  /** A description of the supported values, if a list would say less. */
  readonly supported?: string;
  /** Finds the part of a refused record that is not supported, if it is known. */
  readonly partOf?: (value: unknown) => { readonly key: string; readonly value: unknown; readonly supported: string } | undefined;
}

export type KeyRule = ComputedKey | KeyWithoutEffect | RefusedKey;
export type KeyTable = Readonly<Record<string, KeyRule>>;

/** The schemas of the computed keys of a table. */
type Shape<Table> = {
  [Key in keyof Table as Table[Key] extends ComputedKey ? Key : never]: Table[Key] extends ComputedKey<infer Schema> ? Schema : never;
};
/** The values of a table's computed keys. */
export type ConfigValues<Table> = z.infer<z.ZodObject<Shape<Table>>>;

/**
 * @param only the supported values of the schema, if not all are supported
 * @param otherWords all words that are not supported, if they are known
 */
export const computed = <Schema extends z.ZodType>(
  schema: Schema,
  only?: readonly unknown[],
  otherWords?: readonly string[],
): ComputedKey<Schema> => ({ class: 'computed', schema, only, otherWords });

/** @param why one phrase for all the keys */
export const withoutEffect = <const Key extends string>(why: string, ...keys: Key[]): Readonly<Record<Key, KeyWithoutEffect>> =>
  sameRule(keys, { class: 'without-effect', why });

export const refusedUnless = <const Key extends string>(values: readonly unknown[], ...keys: Key[]): Readonly<Record<Key, RefusedKey>> =>
  sameRule(keys, { class: 'refused', unless: () => values });

/** Refuses the keys whatever their value is. */
export const refused = <const Key extends string>(...keys: Key[]): Readonly<Record<Key, RefusedKey>> => refusedUnless([], ...keys);

const sameRule = <Key extends string, Rule extends KeyRule>(keys: readonly Key[], rule: Rule): Readonly<Record<Key, Rule>> =>
  // Every key gets the rule.
  Object.fromEntries(keys.map(key => [key, rule])) as Record<Key, Rule>;

export interface ConfigReading<Table> {
  readonly values: ConfigValues<Table>;
  /** Values that this table refuses, to be reported together with other problems. */
  readonly problems: readonly ConfigProblem[];
}

/**
 * @param file the name of the file
 * @throws ModelConfigError listing every key that is missing or out of bounds, and every refused value
 */
export function readConfig<Table extends KeyTable>(
  table: Table,
  architecture: string,
  json: ConfigJson,
  file = CONFIG_FILE,
): ConfigReading<Table> {
  const shape = Object.fromEntries(Object.entries(table).flatMap(([key, rule]) => (rule.class === 'computed' ? [[key, rule.schema]] : [])));
  const parsed = z.object(shape).safeParse(json);
  const problems = refusals(table, json);
  // The schema consists of the table's computed keys, so these are their values.
  if (parsed.success) return { values: parsed.data as ConfigValues<Table>, problems };
  const invalid = parsed.error.issues.map((issue): ConfigProblem => {
    const path = issue.path.map(String);
    const value = path.reduce<unknown>((at, key) => (Array.isArray(at) ? at[Number(key)] : isRecord(at) ? at[key] : undefined), json);
    if (issue.code === 'invalid_value' && value !== undefined) return notSupported(path, value, issue.values);
    return { kind: 'invalid', path, message: `${path.join('.')}: ${issue.message}` };
  });
  throw configError([...invalid, ...problems], architecture, file);
}

/** Returns a problem for each key whose value this table refuses. */
function refusals(table: KeyTable, json: ConfigJson): ConfigProblem[] {
  return Object.entries(table).flatMap(([key, rule]) => {
    const value = json[key];
    const allowed = rule.class === 'refused' ? rule.unless(json) : rule.class === 'computed' ? rule.only : undefined;
    if (allowed === undefined || value === undefined || value === null || allowed.some(each => sameJson(each, value))) return [];
    if (rule.class === 'computed') return [misspelled(key, value, rule) ?? notSupported([key], value, allowed)];
    if (rule.class !== 'refused') return [];
    const part = rule.partOf?.(value);
    return [part ? notSupported([key, part.key], part.value, part.supported) : notSupported([key], value, rule.supported ?? allowed)];
  });
}

const sameJson = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

/** The problem of a word that means nothing but is similar to a supported one. A word with a meaning is never replaced: it is a model's. */
function misspelled(
  key: string,
  value: unknown,
  { only = [], otherWords }: Pick<ComputedKey, 'only' | 'otherWords'>,
): ConfigProblem | undefined {
  if (typeof value !== 'string' || otherWords === undefined || otherWords.includes(value)) return undefined;
  const supported = only.map(String);
  const meant = didYouMean(value, [...supported, ...otherWords]);
  if (meant === undefined || !supported.includes(meant)) return undefined;
  const message = `${key} ${show(value)} does not exist; did you mean '${meant}'?`;
  return { kind: 'unsupported', path: [key], message, meant };
}

/** @param supported the supported values, or a phrase that describes them */
export function notSupported(path: readonly string[], value: unknown, supported: readonly unknown[] | string): ConfigProblem {
  const list = typeof supported === 'string' ? supported : supported.map(show).join(', ');
  const possible = list === '' ? '' : `; supported ${typeof supported === 'string' || supported.length === 1 ? 'is' : 'are'} ${list}`;
  return { kind: 'unsupported', path, message: `${path.join('.')} ${show(value)} is not supported${possible}` };
}

const MAX_SHOWN = 80;

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : text;
}

/** @param path the key that the problem is reported at */
export const contradiction = (path: string | readonly string[], message: string): ConfigProblem => ({
  kind: 'contradictory',
  path: typeof path === 'string' ? [path] : path,
  message,
});

/** Reports a value that is not a multiple of another. @param path the key that the problem is reported at */
export const multipleProblems = (
  path: string,
  [key, value]: readonly [key: string, value: number],
  [partKey, part]: readonly [key: string, value: number],
): ConfigProblem[] => (value % part ? [contradiction(path, `${key} ${value} is not a multiple of ${partKey} ${part}`)] : []);

const CONFIG_FILE = 'config.json';

/** @param file its name @throws ModelConfigError with all problems, if there are any */
export function refuse(problems: readonly ConfigProblem[], architecture: string, file = CONFIG_FILE): void {
  if (problems.length > 0) throw configError(problems, architecture, file);
}

function configError(problems: readonly ConfigProblem[], architecture: string, file: string): ModelConfigError {
  const beginnings = {
    invalid: `${file} does not describe a ${architecture}`,
    contradictory: `${file} contradicts itself`,
    unsupported: file,
  } as const;
  const parts = (['invalid', 'contradictory', 'unsupported'] as const).flatMap(kind => {
    const found = problems.filter(problem => problem.kind === kind);
    return found.length > 0 ? [`${beginnings[kind]}: ${found.map(({ message }) => message).join('; ')}`] : [];
  });
  return new ModelConfigError(parts.join('. '), problems);
}

/**
 * Reads a record inside the config by its own table; its problems get the record's key.
 * @throws ModelConfigError, see {@link readConfig}
 */
export function readRecord<Table extends KeyTable>(
  key: string,
  table: Table,
  architecture: string,
  record: ConfigJson,
): ConfigReading<Table> {
  const { values, problems } = inside(key, architecture, () => readConfig(table, architecture, record));
  return { values, problems: problems.map(problem => insideOf(key, problem)) };
}

/**
 * Runs the reader of a record inside the config; its problems get the record's key.
 * @throws ModelConfigError
 */
export function inside<Read>(key: string, architecture: string, read: () => Read): Read {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ModelConfigError) || error.problems.length === 0) throw error;
    throw configError(
      error.problems.map(problem => insideOf(key, problem)),
      architecture,
      CONFIG_FILE,
    );
  }
}

/** Returns the problem of a record inside the config. */
const insideOf = (key: string, { kind, path, message }: ConfigProblem): ConfigProblem => ({
  kind,
  path: [key, ...path],
  // Most messages begin with their key.
  message: message.startsWith(path[0] ?? ' ') ? `${key}.${message}` : `${key}: ${message}`,
});

/** Returns the keys of a config that a table does not list. */
export const unknownKeys = (table: KeyTable, json: ConfigJson): string[] => Object.keys(json).filter(key => !Object.hasOwn(table, key));

/** Returns the paths of the keys of a record inside a config that the record's table does not list; none if there is no such record. */
export function unknownInside(key: string, table: KeyTable, { [key]: record }: ConfigJson): string[][] {
  return isRecord(record) ? unknownKeys(table, record).map(name => [key, name]) : [];
}
