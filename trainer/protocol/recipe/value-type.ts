/** The types of settings. Each has a name for people, a JSON Schema, its choices, and a check of a value from outside. */

export type JsonSchema = Readonly<Record<string, unknown>>;

/** A mismatch inside a value: `path` leads from the value to the mismatch; `expected` reads after "must be". */
export interface Mismatch {
  readonly code: 'wrong-type' | 'out-of-range' | 'not-a-choice';
  readonly path: readonly (string | number)[];
  readonly expected: string;
  readonly value: unknown;
  /** The choices, for a did-you-mean suggestion. */
  readonly choices?: readonly string[];
  /** Whether the key at the end of `path` is at fault, not its value. */
  readonly onKey?: boolean;
}

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly mismatches: readonly Mismatch[] };

export interface ValueType<T> {
  /** The name of the type, for example "an integer from 1 to 8"; reads after "must be". */
  readonly name: string;
  readonly jsonSchema: JsonSchema;
  /** The permitted words with a sentence about each, if the type has any. */
  readonly choices?: Readonly<Record<string, string>>;
  readonly minimum?: number;
  readonly maximum?: number;
  /** True if any text is a valid value, so that a command line need not quote it. */
  readonly isText?: boolean;
  /** True if the value is a path, or a list or map of paths; relative paths start from the folder of the recipe. */
  readonly holdsPaths?: boolean;
  /** True if the value is a path, if one with this name exists, or else a name on the hub. */
  readonly namesModel?: boolean;
  /** Checks a plain value and converts it to its resolved form (a single entry becomes a list of one). */
  check(value: unknown): Checked<T>;
}

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  /** Whether the value must be greater than `min`, not equal to it. */
  readonly aboveMin?: boolean;
}

/** Maximum length of a text, which is usually a name or a path; the longest legal path on Linux has 4096 bytes. */
const MAX_TEXT = 4096;
/** Maximum length of a list. A list of labels can be long, but a recipe is a page, not a data set. */
const MAX_LIST = 10_000;

const ok = <T>(value: T): Checked<T> => ({ ok: true, value });
const mismatch = (code: Mismatch['code'], expected: string, value: unknown, choices?: readonly string[]): Checked<never> => ({
  ok: false,
  mismatches: [{ code, path: [], expected, value, choices }],
});

function boundsText({ min, max, aboveMin }: Bounds): string {
  if (min !== undefined && max !== undefined) return aboveMin ? ` above ${min} and at most ${max}` : ` from ${min} to ${max}`;
  if (min !== undefined) return aboveMin ? ` above ${min}` : ` ≥ ${min}`;
  return max === undefined ? '' : ` ≤ ${max}`;
}

function numeric(noun: string, schemaType: string, isKind: (value: number) => boolean, bounds: Bounds): ValueType<number> {
  const { min, max, aboveMin } = bounds;
  const name = `${noun === 'integer' ? 'an' : 'a'} ${noun}${boundsText(bounds)}`;
  const minimumKey = aboveMin ? 'exclusiveMinimum' : 'minimum';
  return {
    name,
    jsonSchema: { type: schemaType, ...(min === undefined ? {} : { [minimumKey]: min }), ...(max === undefined ? {} : { maximum: max }) },
    minimum: min,
    maximum: max,
    check(value) {
      if (typeof value !== 'number' || !Number.isFinite(value) || !isKind(value)) return mismatch('wrong-type', name, value);
      const tooLow = min !== undefined && (aboveMin ? value <= min : value < min);
      return tooLow || (max !== undefined && value > max) ? mismatch('out-of-range', name, value) : ok(value);
    },
  };
}

/** An integer that JavaScript represents exactly. */
export const integer = (bounds: Bounds = {}): ValueType<number> =>
  numeric('integer', 'integer', Number.isSafeInteger, { ...bounds, max: bounds.max ?? Number.MAX_SAFE_INTEGER });

/** A finite number. */
export const number = (bounds: Bounds = {}): ValueType<number> => numeric('number', 'number', () => true, bounds);

/** A number of updates; below 1, a share of all updates of the run, as in Transformers. */
export function stepCount({ min }: { readonly min: 0 | 1 }): ValueType<number> {
  const maximum = 2 ** 31 - 1;
  const name = `a number of updates ≥ ${min}, or a share below 1`;
  return {
    name,
    jsonSchema: {
      anyOf: [
        { type: 'integer', minimum: min, maximum },
        { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
      ],
    },
    minimum: 0,
    maximum,
    check(value) {
      if (typeof value !== 'number' || !Number.isFinite(value)) return mismatch('wrong-type', name, value);
      const isShare = value > 0 && value < 1;
      if (!isShare && !Number.isInteger(value)) return mismatch('wrong-type', name, value);
      return isShare || (value >= min && value <= maximum) ? ok(value) : mismatch('out-of-range', name, value);
    },
  };
}

export function flag(): ValueType<boolean> {
  const name = 'true or false';
  return {
    name,
    jsonSchema: { type: 'boolean' },
    check: value => (typeof value === 'boolean' ? ok(value) : mismatch('wrong-type', name, value)),
  };
}

export interface TextOptions {
  /** The kind of text, beginning with a consonant: "path", "folder, .gguf file or hub name". */
  readonly noun?: string;
  /** Returns the reason why the text is invalid, if it is. */
  readonly refuse?: (text: string) => string | undefined;
  readonly maxLength?: number;
}

/** Non-empty text. */
export function text({ noun = 'text', refuse, maxLength = MAX_TEXT }: TextOptions = {}): ValueType<string> {
  const expected = noun === 'text' ? noun : `a ${noun}`;
  return {
    name: noun,
    jsonSchema: { type: 'string', minLength: 1, maxLength },
    isText: true,
    check(value) {
      if (typeof value !== 'string') return mismatch('wrong-type', expected, value);
      if (value.trim() === '') return mismatch('out-of-range', `${expected} that is not empty`, value);
      if (value.length > maxLength) return mismatch('out-of-range', `${expected} of at most ${maxLength} characters`, value);
      const refusal = refuse?.(value);
      return refusal === undefined ? ok(value) : mismatch('out-of-range', `${expected} (${refusal})`, value);
    },
  };
}

/** A path on this machine or on the daemon's. */
export const filePath = (): ValueType<string> => ({ ...text({ noun: 'path' }), holdsPaths: true });

/** A model: a path, or a name on the hub. */
export const modelName = (noun = 'folder, .gguf file or hub name'): ValueType<string> => ({ ...text({ noun }), namesModel: true });

/** One of a few words, each with a sentence about its effect. */
export function choice<const C extends Readonly<Record<string, string>>>(choices: C): ValueType<keyof C & string> {
  const words = Object.keys(choices);
  const name = words.length === 1 ? `'${words[0]}'` : `one of ${words.map(word => `'${word}'`).join(', ')}`;
  const isWord = (value: unknown): value is keyof C & string => typeof value === 'string' && Object.hasOwn(choices, value);
  return {
    name,
    jsonSchema: { type: 'string', enum: words },
    choices,
    check: value => (isWord(value) ? ok(value) : mismatch('not-a-choice', name, value, words)),
  };
}

/** A list; a single entry stands for a list of one, and is resolved to such a list. */
export function listOf<T>(entry: ValueType<T>, noun: string, { most = MAX_LIST } = {}): ValueType<readonly T[]> {
  return {
    name: noun,
    jsonSchema: { anyOf: [{ type: 'array', items: entry.jsonSchema, maxItems: most }, entry.jsonSchema] },
    choices: entry.choices,
    holdsPaths: entry.holdsPaths,
    check(value) {
      if (value !== null && typeof value === 'object' && !Array.isArray(value)) return mismatch('wrong-type', noun, value);
      if (!Array.isArray(value)) {
        const single = entry.check(value);
        return single.ok ? ok([single.value]) : single;
      }
      if (value.length > most) return mismatch('out-of-range', `${noun} of at most ${most} entries`, value);
      const entries: T[] = [];
      const mismatches: Mismatch[] = [];
      for (const [index, item] of value.entries()) {
        const checked = entry.check(item);
        if (checked.ok) entries.push(checked.value);
        else mismatches.push(...checked.mismatches.map(found => ({ ...found, path: [index, ...found.path] })));
      }
      return mismatches.length === 0 ? ok(entries) : { ok: false, mismatches };
    },
  };
}

/** A map with a fixed set of keys, whose values have one type. */
export function mapOf<const C extends Readonly<Record<string, string>>, T>(
  keys: C,
  entry: ValueType<T>,
  noun: string,
): ValueType<{ readonly [K in keyof C]?: T }> {
  const key = choice(keys);
  const properties = Object.fromEntries(Object.keys(keys).map(word => [word, entry.jsonSchema]));
  return {
    name: noun,
    jsonSchema: { type: 'object', properties, additionalProperties: false },
    choices: keys,
    holdsPaths: entry.holdsPaths,
    check(value) {
      if (value === null || typeof value !== 'object' || Array.isArray(value)) return mismatch('wrong-type', noun, value);
      const entries: [string, T][] = [];
      const mismatches: Mismatch[] = [];
      for (const [word, item] of Object.entries(value)) {
        const checkedKey = key.check(word);
        const checked = entry.check(item);
        if (!checkedKey.ok) mismatches.push(...checkedKey.mismatches.map(found => ({ ...found, path: [word], onKey: true })));
        else if (!checked.ok) mismatches.push(...checked.mismatches.map(found => ({ ...found, path: [word, ...found.path] })));
        else entries.push([word, checked.value]);
      }
      // Every key was checked against `keys` above.
      return mismatches.length === 0 ? ok(Object.fromEntries(entries) as { [K in keyof C]?: T }) : { ok: false, mismatches };
    },
  };
}
