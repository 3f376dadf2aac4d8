/** Checks located values against the table of settings: unknown keys, wrong types, values out of bounds, missing settings. */
import { didYouMean } from '../../catalog/did-you-mean.ts';
import type { Problem, Suggestion } from '../problem.ts';
import { maskTokens } from '../text/literal-token.ts';
import { foreignKeys, foreignValues } from './foreign-keys.ts';
import { follow, type Located, START, toPlain } from './located.ts';
import { groups, recipeFields, type Setting, settings } from './recipe-schema.ts';
import { type Fields, isGroup } from './setting.ts';
import type { Mismatch, ValueType } from './value-type.ts';

/**
 * Maximum number of unknown keys to find suggestions for: a file with more is not a recipe, and searching for each would block the editor.
 */
const MAX_GUESSED = 200;

export interface CheckedSettings {
  /** The valid values in resolved form, by dotted path. */
  readonly values: ReadonlyMap<string, unknown>;
  /** The paths whose values are invalid, or required but missing. */
  readonly invalid: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

/** Checks a recipe and returns all problems at once. `root` is undefined for an empty text. */
export function checkSettings(root: Located | undefined): CheckedSettings {
  const check = new Check(root);
  if (root !== undefined && root.content.kind !== 'map')
    check.report(root, [], 'wrong-type', `a recipe must be a map of settings ('key: value'), not ${show(toPlain(root))}`);
  else if (root !== undefined) check.fields(recipeFields, root, []);
  check.missing();
  return check;
}

class Check implements CheckedSettings {
  readonly values = new Map<string, unknown>();
  readonly invalid = new Set<string>();
  readonly problems: Problem[] = [];
  private readonly root: Located | undefined;

  constructor(root: Located | undefined) {
    this.root = root;
  }

  fields(fields: Fields, { content }: Located, path: readonly string[]): void {
    if (content.kind !== 'map') return;
    for (const [name, located] of content.entries) {
      const entryPath = [...path, name];
      const entry = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (entry === undefined) this.unknownKey(fields, name, located, path);
      else if (isMissingValue(located)) this.noValue(located, entryPath);
      else if (!isGroup(entry)) this.setting(entry, located, entryPath);
      else if (located.content.kind === 'map') this.fields(entry.fields, located, entryPath);
      else if (!isNull(located)) this.wrongGroup(name, entry.fields, located, entryPath);
    }
  }

  missing(): void {
    for (const [path, { presence, doc }] of Object.entries(settings)) {
      if (presence !== 'required' || this.values.has(path) || this.invalid.has(path)) continue;
      this.invalid.add(path);
      this.problems.push({ code: 'missing-key', severity: 'error', message: `'${path}' is required: ${doc}`, path: [path], range: START });
    }
  }

  report(
    located: Located,
    path: readonly (string | number)[],
    code: string,
    message: string,
    suggestion?: Suggestion,
    onKey = false,
  ): void {
    const range = onKey ? (located.keyRange ?? located.range) : located.range;
    this.problems.push({ code, severity: 'error', message, path, range, suggestion, override: located.override });
  }

  private noValue(located: Located, path: readonly string[]): void {
    this.invalid.add(path.join('.'));
    this.report(located, path, 'empty-value', `'${path.join('.')}' has no value: write one or delete the line`, undefined, true);
  }

  private wrongGroup(name: string, fields: Fields, located: Located, path: readonly string[]): void {
    for (const field of Object.keys(fields)) this.invalid.add(`${name}.${field}`);
    const expected = `a map of settings (${Object.keys(fields).slice(0, 3).join(', ')} …)`;
    // A single value stands for the first setting of its group, the one that people mean: a file for the training data, a name for the
    // measure.
    const [first = '', setting] = Object.entries(fields)[0] ?? [];
    const isFirst =
      located.content.kind === 'scalar' && setting !== undefined && !isGroup(setting) && setting.type.check(toPlain(located)).ok;
    const hint = isFirst ? `: write '${name}: {${first}: ${located.content.source}}'` : '';
    this.report(
      located,
      path,
      'wrong-type',
      `'${name}' must be ${expected}, not ${show(toPlain(located))}${hint}`,
      undefined,
      located.content.kind === 'list',
    );
  }

  private setting({ type, nullHint }: Setting, located: Located, path: readonly string[]): void {
    const dotted = path.join('.');
    if (isNull(located) && nullHint !== undefined) {
      this.invalid.add(dotted);
      this.report(located, path, 'ambiguous-null', `'${dotted}: null' is ambiguous: ${nullHint}; delete the line to use the default`);
      return;
    }
    // An explicit null means "not given".
    if (isNull(located)) return;
    const checked = type.check(toPlain(located));
    if (checked.ok) {
      this.values.set(dotted, checked.value);
      return;
    }
    this.invalid.add(dotted);
    for (const mismatch of checked.mismatches) {
      const { found } = follow(located, mismatch.path);
      const isBlock = found.content.kind !== 'scalar' && found.range.start.line !== found.range.end.line;
      const source = found.content.kind === 'scalar' ? found.content.source : '';
      const { message, suggestion } = explain(mismatch, { type, dotted, source });
      this.report(found, [...path, ...mismatch.path], mismatch.code, message, suggestion, mismatch.onKey || isBlock);
    }
  }

  private unknownKey(fields: Fields, name: string, located: Located, path: readonly string[]): void {
    const groupPath = path.join('.');
    const foreign = Object.hasOwn(foreignKeys, name) ? foreignKeys[name] : undefined;
    const home =
      // Under a group, a top-level setting is more likely than a setting with the same name in another group.
      (Object.hasOwn(settings, name) || Object.hasOwn(groups, name) ? name : undefined) ??
      Object.keys(settings).find(candidate => candidate.split('.').at(-1) === name);
    const note = foreign?.note === undefined ? '' : `; ${foreign.note}`;
    const entryPath = [...path, name];
    if (foreign?.isSwitch === true && isOff(located)) {
      const value = isMissingValue(located) ? '' : ` ${show(toPlain(located)).replace(/^the \w+ /, '')}`;
      const message = `'${name}:${value}' turns off an option of another tool, which is off here by default: delete the line`;
      this.report(located, entryPath, 'foreign-key', message, { kind: 'remove-key', losesNothing: true }, true);
      return;
    }
    const shown = show(name).slice(1, -1);
    const found = (code: string, message: string, to?: string, guess = ''): void => {
      const suggestion = to === undefined ? undefined : this.rename(to, groupPath);
      const wayOut = suggestion?.kind === 'remove-key' ? `; '${to}' is already set, so remove '${shown}'` : guess;
      this.report(located, entryPath, code, message + wayOut, suggestion, true);
    };
    if (foreign !== undefined && foreign.to === undefined)
      found('foreign-key', `'${name}' is a key of another tool without a counterpart here${note}`);
    else if (foreign?.to !== undefined && home !== foreign.to)
      found('foreign-key', `'${name}' is called '${foreign.to}' here${note}`, foreign.to);
    else if (home !== undefined && Object.hasOwn(fields, 'over'))
      found('misplaced-key', `'${name}' belongs under '${groupPath}.over', whose keys are the settings that are tried`);
    else if (home !== undefined)
      found('misplaced-key', `'${name}' belongs ${home.includes('.') ? `under '${home.split('.')[0]}'` : 'at the top level'}`, home);
    else {
      const near = this.problems.length < MAX_GUESSED ? didYouMean(name, Object.keys(fields)) : undefined;
      const farther =
        near === undefined && this.problems.length < MAX_GUESSED
          ? didYouMean(
              name,
              Object.keys(settings).map(candidate => candidate.split('.').at(-1) ?? candidate),
            )
          : undefined;
      const farHome = Object.keys(settings).find(candidate => candidate.split('.').at(-1) === farther);
      const to = near === undefined ? farHome : [...path, near].join('.');
      const where = groupPath === '' ? '' : ` under '${groupPath}'`;
      const guess = to === undefined ? '' : `; did you mean '${near ?? to}'?`;
      found('unknown-key', `there is no setting '${shown}'${where}`, to, guess);
    }
  }

  /** Suggests a rename, but not to an existing key. */
  private rename(to: string, groupPath: string): Suggestion {
    const steps = to.split('.');
    // The value exists under another name, so it is neither missing nor at its default.
    this.invalid.add(to);
    if (this.root !== undefined && follow(this.root, steps).complete) return { kind: 'remove-key' };
    for (const path of Object.keys(settings).filter(each => each.startsWith(`${to}.`))) this.invalid.add(path);
    const home = steps.slice(0, -1).join('.');
    return home === groupPath ? { kind: 'rename-key', to: steps.at(-1) ?? to } : { kind: 'move-key', to };
  }
}

const isNull = ({ content }: Located): boolean => content.kind === 'scalar' && content.value === null;
/** True for every way to turn off another tool's switch: false, null, no value, or a word. */
function isOff({ content }: Located): boolean {
  if (content.kind !== 'scalar') return false;
  const { value } = content;
  return value === null || value === false || (typeof value === 'string' && /^(false|no|off|none|)$/i.test(value.trim()));
}
const isMissingValue = (located: Located): boolean => isNull(located) && located.content.kind === 'scalar' && located.content.source === '';

/** The message and the suggestion for one mismatch. */
function explain(
  { code, expected, value, choices, path, onKey = false }: Mismatch,
  { type, dotted, source }: { readonly type: ValueType<unknown>; readonly dotted: string; readonly source: string },
): { message: string; suggestion?: Suggestion } {
  const word = String(value).toLowerCase();
  const table = Object.hasOwn(foreignValues, dotted) ? foreignValues[dotted] : undefined;
  const foreign = choices !== undefined && table !== undefined && Object.hasOwn(table, word) ? table[word] : undefined;
  // A map is named with the key whose value is wrong.
  const name = onKey ? dotted : [dotted, ...path.filter(step => typeof step === 'string')].join('.');
  const got = `'${name}' must be ${expected}, not ${show(value)}`;
  // The fix comes before the list of choices, which a narrow view may cut off.
  const withChoices = (wayOut: string): string => `'${name}' can't be ${show(value)}${wayOut} It must be ${expected}`;
  if (foreign?.note !== undefined) return { message: withChoices(`: ${foreign.note}.`) };
  const to =
    foreign?.to ??
    (choices === undefined
      ? code === 'out-of-range' && path.length > 0
        ? undefined
        : converted(value, source, path.length === 0 ? type : undefined)
      : typeof value === 'string'
        ? didYouMean(value, choices)
        : undefined);
  if (to === undefined) return { message: got };
  const message = choices === undefined ? `${got}; did you mean ${to}?` : withChoices(`; did you mean '${to}'?`);
  return { message, suggestion: { kind: 'replace-value', to } };
}

/** The value of a quoted number or boolean, or of a word that older YAML reads as a boolean. */
function converted(value: unknown, source: string, type: ValueType<unknown> | undefined): string | undefined {
  // Keep the original spelling: the names 1.10 and 1.1 differ.
  if (typeof value === 'number' || typeof value === 'boolean')
    return type === undefined || type.isText ? `'${source || value}'` : undefined;
  if (type === undefined) return undefined;
  if (typeof value !== 'string') return undefined;
  const truth = { yes: true, on: true, true: true, no: false, off: false, false: false }[value.toLowerCase()];
  if (truth !== undefined && type.check(truth).ok) return String(truth);
  const amount = value.trim() === '' ? Number.NaN : Number(value.replaceAll('_', ''));
  return type.check(amount).ok ? String(amount) : undefined;
}

/** A value for a message: short, quoted if it is text, with tokens masked. */
function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a map';
  if (typeof value !== 'string') return String(value);
  const shown = maskTokens(value).replace(/\p{Cc}/gu, '·');
  return `'${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}'`;
}
