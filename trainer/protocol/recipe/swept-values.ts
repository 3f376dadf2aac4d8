/** The values that a sweep tries for a setting: a list, a range of numbers, or consecutive numbers. */
import { isOneOf } from '../../catalog/entries.ts';
import { isRecord } from '../../narrow.ts';
import type { Setting } from './setting.ts';
import type { Checked, JsonSchema, Mismatch, ValueType } from './value-type.ts';

/** Numbers from `min` to `max`. With `count`, that many equidistant points, including both ends. */
export interface SweptRange {
  readonly min: number;
  readonly max: number;
  /** `log` spaces and draws values by ratio, `linear` by difference; the default is `log`. */
  readonly scale?: 'log' | 'linear';
  readonly count?: number;
}

/** `count` consecutive integers, starting at the recipe's value: for example several seeds. */
export interface SweptCount {
  readonly count: number;
}

export type SweptValues = readonly unknown[] | SweptRange | SweptCount;

/** The swept settings by their dotted names, in the order of the recipe. */
export type SweptSettings = Readonly<Record<string, SweptValues>>;

/** Maximum number of values: a sweep of more takes longer than anyone waits. */
const MAX_VALUES = 1000;
const RANGE_KEYS = ['min', 'max', 'scale', 'count'];

export const isRange = (values: SweptValues): values is SweptRange => !Array.isArray(values) && 'min' in values;
export const isCount = (values: SweptValues): values is SweptCount => !Array.isArray(values) && !('min' in values);

const isNumeric = ({ jsonSchema: { type } }: ValueType<unknown>): boolean => type === 'integer' || type === 'number';
export const isWhole = ({ jsonSchema: { type } }: ValueType<unknown>): boolean => type === 'integer';

const FORMS = 'a list of values, or for numbers {min, max} with scale (log or linear) and count';

/** The type of the swept settings. @param settings every setting, by its dotted name */
export function sweptSettings(settings: Readonly<Record<string, Setting>>): ValueType<SweptSettings> {
  const tunable = Object.entries(settings).filter(([, { fixedInSweep }]) => fixedInSweep === undefined);
  const names = tunable.map(([name]) => name);
  return {
    name: `a map from names of settings to ${FORMS}`,
    jsonSchema: {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(tunable.map(([name, setting]) => [name, { ...schemaOf(setting.type), description: setting.doc }])),
    },
    check(value) {
      const mismatch = (found: Omit<Mismatch, 'value'> & { readonly value?: unknown }): Checked<never> => ({
        ok: false,
        mismatches: [{ value, ...found }],
      });
      if (value === null || typeof value !== 'object' || Array.isArray(value))
        return mismatch({ code: 'wrong-type', path: [], expected: `a map from names of settings to ${FORMS}` });
      if (Object.keys(value).length === 0) return mismatch({ code: 'out-of-range', path: [], expected: 'a map with at least one setting' });
      const mismatches: Mismatch[] = [];
      for (const [name, values] of Object.entries(value)) {
        const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
        const reason = setting?.fixedInSweep;
        if (setting === undefined || reason !== undefined) {
          const expected = `a map of settings that a sweep can change${reason === undefined ? '' : ` (${reason})`}`;
          mismatches.push({ code: 'not-a-choice', path: [name], onKey: true, expected, value: name, choices: names });
        } else mismatches.push(...checkValues(setting.type, values).map(found => ({ ...found, path: [name, ...found.path] })));
      }
      if (mismatches.length > 0) return { ok: false, mismatches };
      return { ok: true, value: Object.fromEntries(Object.entries(value).map(([name, values]) => [name, asValues(values)])) };
    },
  };
}

const SCALES = ['log', 'linear'] as const;

const isSwept = (values: unknown): values is SweptValues =>
  Array.isArray(values) ||
  (isRecord(values) && (typeof values.count === 'number' || (typeof values.min === 'number' && typeof values.max === 'number')));

/** The values; a single value stands for a list of one. */
const asValues = (values: unknown): SweptValues => (isSwept(values) ? values : [values]);

function schemaOf({ jsonSchema, ...type }: ValueType<unknown>): JsonSchema {
  const list = { type: 'array', items: jsonSchema, minItems: 1, maxItems: MAX_VALUES };
  const count = { type: 'integer', minimum: 1, maximum: MAX_VALUES };
  const range = {
    type: 'object',
    additionalProperties: false,
    required: ['min', 'max'],
    properties: { min: jsonSchema, max: jsonSchema, scale: { type: 'string', enum: ['log', 'linear'] }, count },
  };
  const several = { type: 'object', additionalProperties: false, required: ['count'], properties: { count } };
  if (!isNumeric({ jsonSchema, ...type })) return { anyOf: [list, jsonSchema] };
  return { anyOf: [list, range, ...(isWhole({ jsonSchema, ...type }) ? [several] : []), jsonSchema] };
}

/** Checks the values; the paths of mismatches are relative to them. */
const checkValues = (type: ValueType<unknown>, values: unknown): readonly Mismatch[] =>
  isRecord(values) ? checkRange(type, values) : checkList(type, values);

const wrong = (expected: string, value: unknown, path: Mismatch['path'] = [], code: Mismatch['code'] = 'wrong-type'): Mismatch[] => [
  { code, path, expected, value },
];

function checkList(type: ValueType<unknown>, values: unknown): readonly Mismatch[] {
  const list: readonly unknown[] = Array.isArray(values) ? values : [values];
  if (list.length === 0 || list.length > MAX_VALUES) return wrong(`a list of 1 to ${MAX_VALUES} values`, values, [], 'out-of-range');
  return list.flatMap((value, index) => {
    const checked = type.check(value);
    const at = Array.isArray(values) ? [index] : [];
    return checked.ok ? [] : checked.mismatches.map(found => ({ ...found, path: [...at, ...found.path] }));
  });
}

function checkRange(type: ValueType<unknown>, range: Readonly<Record<string, unknown>>): readonly Mismatch[] {
  if (!isNumeric(type)) return wrong(`a list of values (${type.name})`, range);
  const strange = Object.keys(range).find(key => !RANGE_KEYS.includes(key));
  if (strange !== undefined)
    return [{ code: 'not-a-choice', path: [strange], onKey: true, expected: FORMS, value: strange, choices: RANGE_KEYS }];
  const { min, max, scale = 'log', count } = range;
  if (count !== undefined && !(typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= MAX_VALUES))
    return wrong(`a count from 1 to ${MAX_VALUES}`, count, ['count'], 'out-of-range');
  if (min === undefined && max === undefined && scale === 'log' && count !== undefined)
    return isWhole(type) ? [] : wrong('a range with min and max, because only whole numbers can be counted up', range);
  if (min === undefined || max === undefined) return wrong('a range with both min and max', range);
  for (const [key, end] of [
    ['min', min],
    ['max', max],
  ] as const) {
    const checked = type.check(end);
    if (!checked.ok) return checked.mismatches.map(found => ({ ...found, path: [key] }));
  }
  if (!isOneOf(SCALES, scale))
    return [{ code: 'not-a-choice', path: ['scale'], expected: "'log' or 'linear'", value: scale, choices: ['log', 'linear'] }];
  if (typeof min !== 'number' || typeof max !== 'number') return wrong('a range of numbers', range);
  if (min >= max) return wrong(`a range whose min is below its max`, min, ['min'], 'out-of-range');
  if (scale === 'log' && min <= 0) return wrong('a range above 0, or scale: linear', min, ['min'], 'out-of-range');
  return [];
}
