/** Completions at a cursor: keys and values from the schema, the model, the data and nearby folders. */
import path from 'node:path';
import { firstEntries } from '../trainer/files/folder-walk.ts';
import { listComplete } from '../trainer/hub/hub-cache.ts';
import type { RecipeView } from '../trainer/lint/recipe-view.ts';
import { moduleNames } from '../trainer/method/targets.ts';
import { dataExtensions } from '../trainer/protocol/data-extensions.ts';
import type { Position, Range } from '../trainer/protocol/problem.ts';
import { follow, type Located } from '../trainer/protocol/recipe/located.ts';
import { groups, recipeFields, settings } from '../trainer/protocol/recipe/recipe-schema.ts';
import { type Fields, isGroup } from '../trainer/protocol/recipe/setting.ts';
import { linesOf } from '../trainer/protocol/text/line-starts.ts';
import { overlaps, type TypingSpot, typingSpot } from './cursor.ts';
import { settingText } from './hover.ts';
import { namesSweptSettings, RANGE_KEYS, RANGE_SCALES, sweptSettingAt } from './swept-setting.ts';

export interface Choice {
  readonly label: string;
  readonly kind: 'key' | 'group' | 'value' | 'model' | 'module' | 'folder' | 'file' | 'column';
  readonly insert: string;
  readonly range: Range;
  readonly detail?: string;
  readonly documentation?: string;
}

type Entry = Omit<Choice, 'range' | 'insert'> & { readonly insert?: string };

const MAX_ENTRIES = 500;
const FILE_SETTINGS = new Set(['data.train', 'data.eval']);

/**
 * Returns completions. Never rejects: a folder that can't be read has no entries.
 * @param cacheDir the folder of downloaded models
 */
export async function completionsAt(view: RecipeView, at: Position, cacheDir: string): Promise<Choice[]> {
  const spot = typingSpot(view.text, at);
  if (spot === undefined) return [];
  const entries = await entriesAt(view, spot, cacheDir);
  const isJson = path.extname(view.file) === '.json';
  const { line, column } = spot.range.start;
  const isQuoted = linesOf(view.text)[line]?.[column - 1] === '"';
  return entries.map(entry => ({
    ...entry,
    range: spot.range,
    insert: isJson
      ? jsonText(entry, isQuoted)
      : (entry.insert ?? (['folder', 'file'].includes(entry.kind) ? entry.label : yamlWord(entry.label))),
  }));
}

async function entriesAt(view: RecipeView, spot: TypingSpot, cacheDir: string): Promise<Entry[]> {
  const { kind, path: keys, word } = spot;
  const swept = sweptSettingAt(keys);
  if (namesSweptSettings(keys)) return kind === 'key' ? tunableEntries(view) : [];
  if (swept !== undefined && (kind === 'key' || swept.rest.length > 0)) return rangeEntries(swept.rest);
  const dotted = swept?.name ?? keys.join('.');
  if (kind === 'key') return dotted === 'data.columns' ? columnParts(view) : keyEntries(view, spot);
  if (dotted === 'target_modules' || dotted === 'modules_to_save') return moduleEntries(view, dotted);
  if (FILE_SETTINGS.has(dotted)) return fileEntries(view.baseDir, word, isDataFile);
  if (keys[0] === 'data' && keys[1] === 'columns') return columnEntries(view);
  const type = Object.hasOwn(settings, dotted) ? settings[dotted]?.type : undefined;
  if (type?.namesModel) return [...(await downloadedModels(cacheDir)), ...(await fileEntries(view.baseDir, word, () => false))];
  if (type?.choices !== undefined)
    return Object.entries(type.choices).map(([label, documentation]): Entry => ({ label, kind: 'value', documentation }));
  return type?.jsonSchema.type === 'boolean' ? ['true', 'false'].map((label): Entry => ({ label, kind: 'value' })) : [];
}

function keyEntries({ root, parsed, text }: RecipeView, { path: keys, range }: TypingSpot): Entry[] {
  const [top] = keys;
  const isComplete = /^["']?\s*:/.test(linesOf(text)[range.end.line]?.slice(range.end.column) ?? '');
  const fields: Fields | undefined = top === undefined ? recipeFields : keys.length === 1 ? groups[top]?.fields : undefined;
  if (fields === undefined || parsed === undefined) return [];
  const home = root?.content.kind === 'map' ? (top === undefined ? root : root.content.entries.get(top)) : undefined;
  const given: ReadonlyMap<string, Located> = home?.content.kind === 'map' ? home.content.entries : new Map();
  return Object.entries(fields).flatMap(([label, entry]): Entry[] => {
    const own = given.get(label)?.keyRange;
    // Offer a key that is typed to its end, too; otherwise, Enter would insert another one.
    if (given.has(label) && (isComplete || own === undefined || !overlaps(own, range))) return [];
    if (isGroup(entry)) return [{ label, kind: 'group', insert: `${label}:\n  `, documentation: entry.doc }];
    const dotted = top === undefined ? label : `${top}.${label}`;
    return [{ label, kind: 'key', insert: `${label}: `, detail: entry.type.name, documentation: settingText(dotted, entry) }];
  });
}

/** The settings that a sweep can change and that this sweep does not list yet. */
function tunableEntries({ root }: RecipeView): Entry[] {
  const home = root === undefined ? undefined : follow(root, ['sweep', 'over']);
  const given = home?.complete && home.found.content.kind === 'map' ? home.found.content.entries : new Map();
  return Object.entries(settings).flatMap(([label, setting]): Entry[] =>
    setting.fixedInSweep !== undefined || label.startsWith('sweep.') || given.has(label)
      ? []
      : [{ label, kind: 'key', insert: `${label}: `, detail: setting.type.name, documentation: settingText(label, setting) }],
  );
}

/** The keys of a range, or the possible values of its scale. */
function rangeEntries([key]: readonly string[]): Entry[] {
  const kind = key === undefined ? 'key' : 'value';
  const words = key === undefined ? RANGE_KEYS : key === 'scale' ? RANGE_SCALES : {};
  return Object.entries(words).map(
    ([label, documentation]): Entry => ({
      label,
      kind,
      insert: kind === 'key' ? `${label}: ` : label,
      documentation,
    }),
  );
}

function moduleEntries({ model }: RecipeView, setting: 'target_modules' | 'modules_to_save'): Entry[] {
  const all: Entry =
    setting === 'target_modules'
      ? { label: 'all-linear', kind: 'module', documentation: 'Every linear layer of the blocks, not the output head.' }
      : { label: 'head', kind: 'module', documentation: 'The output head, whatever its name.' };
  if (model?.kind !== 'ready') return [all];
  const { modules } = model.model;
  return [
    all,
    ...moduleNames(model.model).map((label): Entry => {
      const ofName = modules.filter(({ name }) => name.endsWith(`.${label}`) || name === label);
      const shape = ofName[0]?.weight.shape.join(' × ') ?? '';
      return { label, kind: 'module', detail: `${ofName.length} × [${shape}], ${ofName[0]?.part ?? ''}` };
    }),
  ];
}

const columnParts = ({ root }: RecipeView): Entry[] =>
  root === undefined
    ? []
    : Object.entries(settings['data.columns']?.type.choices ?? {}).map(([label, documentation]) => ({
        label,
        kind: 'key',
        insert: `${label}: `,
        documentation,
      }));

const columnEntries = ({ data }: RecipeView): Entry[] =>
  [...new Set(data.flatMap(({ columns }) => columns))].map(label => ({ label, kind: 'column', detail: 'column of the data' }));

const isDataFile = (name: string): boolean => dataExtensions.some(extension => name.toLowerCase().endsWith(extension));

async function downloadedModels(cacheDir: string): Promise<Entry[]> {
  const names = new Set((await listComplete(cacheDir)).map(({ name }) => name));
  return [...names].map(label => ({ label, kind: 'model', detail: 'downloaded from the hub' }));
}

/** The folders and matching files in the folder that the typed path names. */
async function fileEntries(baseDir: string, typed: string, isWanted: (name: string) => boolean): Promise<Entry[]> {
  const folder = typed.slice(0, typed.lastIndexOf('/') + 1);
  const found = await firstEntries(path.resolve(baseDir, folder), MAX_ENTRIES);
  return found.flatMap((entry): Entry[] => {
    if (entry.name.startsWith('.')) return [];
    const label = folder + entry.name;
    if (entry.isDirectory() || entry.isSymbolicLink()) return entry.name === 'node_modules' ? [] : [{ label, kind: 'folder' }];
    return isWanted(entry.name) || entry.name.endsWith('.gguf') ? [{ label, kind: 'file' }] : [];
  });
}

/** @param isQuoted true if the cursor is between quotes, which stay */
function jsonText({ label, kind }: Entry, isQuoted: boolean): string {
  const word = JSON.stringify(label);
  if (isQuoted) return word.slice(1, -1);
  if (kind === 'key') return `${word}: `;
  if (kind === 'group') return `${word}: {}`;
  return /^(?:true|false)$/.test(label) ? label : word;
}

/** Quotes a word if YAML would not read it as text. */
const yamlWord = (word: string): string =>
  /^[A-Za-z_][\w./-]*$/.test(word) || /^(?:true|false)$/.test(word) ? word : JSON.stringify(word);
