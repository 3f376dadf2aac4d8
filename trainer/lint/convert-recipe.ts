/** Converts a whole recipe of another tool into one of ours; keys without a counterpart stay as comments. Pure. */

import { Document, isMap, isPair, isScalar, isSeq, type Pair, type Scalar, stringify } from 'yaml';
import { type RecipeToolName, recipeToolCatalog, recipeToolNames } from '../catalog/recipe-tools.ts';
import { isRecord } from '../narrow.ts';
import { foreignKeys, foreignValues } from '../protocol/recipe/foreign-keys.ts';
import { groups, settings } from '../protocol/recipe/recipe-schema.ts';
import { axolotl } from './foreign/axolotl.ts';
import type { Converted, ForeignTool } from './foreign/foreign-tool.ts';
import { llamaFactory } from './foreign/llama-factory.ts';
import { mlxLm } from './foreign/mlx-lm.ts';
import { torchtune } from './foreign/torchtune.ts';
import { trl } from './foreign/trl.ts';
import { unsloth } from './foreign/unsloth.ts';
import { watchKeys } from './foreign/watch-keys.ts';
import { parseForEditing, plainLines, withLineEndsOf } from './text-edits.ts';

const foreignTools: Readonly<Record<RecipeToolName, ForeignTool>> = { torchtune, axolotl, llamaFactory, trl, unsloth, mlxLm };
/** Minimum number of another tool's keys in a recipe of that tool: a single one may be a habit. */
const MIN_MARKS = 2;

export interface ConvertedRecipe {
  readonly tool: string;
  readonly text: string;
  /** Keys that have no counterpart. */
  readonly dropped: readonly string[];
}

/** Converts a recipe; undefined if the text is not a recipe of another tool, or has syntax errors. */
export function convertRecipe(text: string, isJson: boolean): ConvertedRecipe | undefined {
  const found = convertLines(plainLines(text), isJson);
  return found && { ...found, text: withLineEndsOf(text, found.text) };
}

function convertLines(text: string, isJson: boolean): ConvertedRecipe | undefined {
  const document = parseForEditing(text);
  if (document.errors.length > 0 || !isMap(document.contents)) return undefined;
  const plain: unknown = document.toJS({ maxAliasCount: -1 });
  if (!isRecord(plain)) return undefined;
  const resolved = resolveReferences(plain);
  const name = toolOf(resolved);
  if (name === undefined) return undefined;
  const { recipe, unread } = watchKeys(resolved);
  const tool = foreignTools[name];
  const { label } = recipeToolCatalog[name];
  const values = new Map<string, unknown>();
  const comments = new Map<string, Comments>();
  const dropped: Dropped[] = [];
  const pairs = document.contents.items.filter((pair): pair is Pair<Scalar> => isPair(pair) && isScalar(pair.key));
  for (const pair of pairs) {
    const key = String(pair.key.value);
    const found = convertKey(tool, key, recipe);
    // The comments stay with the first setting that the key becomes.
    let own: Comments | undefined = commentsOf(pair);
    for (const entry of found) {
      if (!('to' in entry)) {
        dropped.push({ key, value: resolved[key], note: entry.note });
        continue;
      }
      // A key of ours takes precedence over a foreign key that is converted to it.
      if (values.has(entry.to) && key !== entry.to) continue;
      values.set(entry.to, entry.value);
      const note = entry.note === undefined ? [] : [entry.note];
      comments.set(entry.to, { before: own?.before, behind: [...(own?.behind ?? []), ...note] });
      own = undefined;
    }
  }
  for (const entry of tool.defaults(recipe)) {
    if (!('to' in entry) || values.has(entry.to)) continue;
    values.set(entry.to, entry.value);
    if (entry.note !== undefined) comments.set(entry.to, { behind: [entry.note] });
  }
  for (const key of Object.keys(tool.keys)) {
    const rest = unread(key);
    if (rest !== undefined && dropped.every(entry => entry.key !== key)) dropped.push({ key, value: rest, note: 'no counterpart' });
  }
  return {
    tool: label,
    text: isJson ? asJson(values, text) : asYaml({ values, comments, dropped, document, tool: label }),
    dropped: dropped.map(({ key }) => key),
  };
}

function toolOf(recipe: Readonly<Record<string, unknown>>): RecipeToolName | undefined {
  const scored = recipeToolNames.map(name => ({ name, marks: foreignTools[name].marks(recipe) })).sort((a, b) => b.marks - a.marks);
  const [best] = scored;
  return best !== undefined && best.marks >= MIN_MARKS ? best.name : undefined;
}

function convertKey(tool: ForeignTool, key: string, recipe: Readonly<Record<string, unknown>>): readonly Converted[] {
  const value = recipe[key];
  const special = Object.hasOwn(tool.keys, key) ? tool.keys[key]?.(value, recipe) : undefined;
  if (special !== undefined) return special;
  if (value === null || value === undefined || value === '') return [];
  const { to, note } = (Object.hasOwn(foreignKeys, key) ? foreignKeys[key] : undefined) ?? {};
  // A key of ours that has the same meaning in every tool.
  const target = to ?? (Object.hasOwn(settings, key) ? key : undefined);
  if (target === undefined) return Object.hasOwn(groups, key) ? ofGroup(key, value) : [{ note: note ?? 'no counterpart' }];
  if (note !== undefined) return [{ note }];
  return [ofValue(target, value)];
}

const ofGroup = (key: string, value: unknown): Converted[] =>
  typeof value === 'object' && value !== null ? Object.entries(value).map(([name, inner]) => ({ to: `${key}.${name}`, value: inner })) : [];

/** Translates a value, too: adamw_torch is adamw here. */
function ofValue(to: string, value: unknown): Converted {
  const table = Object.hasOwn(foreignValues, to) ? foreignValues[to] : undefined;
  const word = String(value).toLowerCase();
  const foreign = table !== undefined && Object.hasOwn(table, word) ? table[word] : undefined;
  if (foreign?.note !== undefined) return { note: foreign.note };
  return { to, value: foreign?.to ?? value };
}

/** Maximum number of characters that references may expand to in total. */
const MAX_RESOLVED = 100_000;

/** Resolves references such as `${output_dir}/logs`, in OmegaConf's syntax. */
function resolveReferences(recipe: Record<string, unknown>): Record<string, unknown> {
  // References to references multiply.
  let left = MAX_RESOLVED;
  const resolve = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string')
      return value.replace(/\$\{(\w+)\}/g, (whole, key: string) => {
        const target = Object.hasOwn(recipe, key) ? recipe[key] : undefined;
        if (typeof target !== 'string' || depth >= 4 || left < target.length) return whole;
        left -= target.length + 1;
        return String(resolve(target, depth + 1));
      });
    if (Array.isArray(value)) return value.map(item => resolve(item, depth));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner, depth)]));
  };
  return Object.fromEntries(Object.entries(recipe).map(([key, inner]) => [key, resolve(inner, 0)]));
}

/** The lines above a key, and the comment after its value. */
interface Comments {
  readonly before?: string;
  readonly behind: readonly string[];
}

const commentsOf = ({ key, value }: Pair<Scalar>): Comments => ({
  before: key.commentBefore ?? undefined,
  behind: isScalar(value) && value.comment ? [value.comment.trim()] : [],
});

/** The settings in the order of our table, with groups as maps. */
function nested(values: ReadonlyMap<string, unknown>): Map<string, unknown> {
  const root = new Map<string, unknown>();
  const order = Object.keys(settings);
  for (const path of [...values.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b))) {
    const [top = '', inner] = path.split('.');
    if (inner === undefined) root.set(top, values.get(path));
    else {
      const group = root.get(top);
      root.set(top, { ...(isRecord(group) && group), [inner]: values.get(path) });
    }
  }
  return root;
}

const asJson = (values: ReadonlyMap<string, unknown>, text: string): string =>
  `${JSON.stringify(Object.fromEntries(nested(values)), undefined, 2)}${text.endsWith('\n') ? '\n' : ''}`;

/** A key without a counterpart, or the part of its value that has none. */
interface Dropped {
  readonly key: string;
  readonly value: unknown;
  readonly note: string;
}

interface Written {
  readonly values: ReadonlyMap<string, unknown>;
  readonly comments: ReadonlyMap<string, Comments>;
  readonly dropped: readonly Dropped[];
  readonly document: Document;
  /** The label of the other tool. */
  readonly tool: string;
}

function asYaml({ values, comments, dropped, document, tool }: Written): string {
  const written = new Document(Object.fromEntries(nested(values)));
  written.commentBefore = document.commentBefore;
  if (isMap(written.contents)) written.contents.commentBefore = document.contents?.commentBefore;
  for (const [path, { before, behind }] of comments) {
    const [top = ''] = path.split('.');
    const pair = isMap(written.contents) ? written.contents.items.find(({ key }) => isScalar(key) && key.value === top) : undefined;
    if (before !== undefined && isScalar(pair?.key)) pair.key.commentBefore = before;
    const node = written.getIn(path.split('.'), true);
    const comment = ` ${behind.join('; ').replaceAll('\n', ' ')}`;
    if (behind.length > 0 && isScalar(node)) node.comment = comment;
    else if (behind.length > 0 && isSeq(node)) node.commentBefore = comment;
  }
  const body = written.toString({ lineWidth: 0 });
  if (dropped.length === 0) return body;
  const notes = dropped.flatMap(({ key, value, note }) => {
    const lines = stringify({ [key]: value }, { lineWidth: 0 })
      .trimEnd()
      .split('\n');
    return lines.map((line, i) => (i === 0 ? `# ${line}  # ${note}` : `# ${line}`));
  });
  return `${body}\n# Settings of ${tool} without a counterpart:\n${notes.join('\n')}\n`;
}
