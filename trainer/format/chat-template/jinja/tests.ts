/** Jinja's tests, `x is name`. */
import { binary, compare, contains, equal } from './operators.ts';
import { isLower, isUpper } from './string-methods.ts';
import { TemplateError } from './template-error.ts';
import { str } from './text.ts';
import { Callable, Dict, DictView, isNumber, Markup, Namespace, Range, Tuple, Undefined, type Value } from './values.ts';

type Test = (value: Value, args: readonly Value[]) => boolean;

const argument = (args: readonly Value[]): Value => {
  const [first] = args;
  if (first === undefined) throw new TemplateError('the test needs a value to compare with');
  return first;
};
const compared =
  (operator: '==' | '!=' | '<' | '>' | '<=' | '>='): Test =>
  (value, args) =>
    compare(operator, value, argument(args));
const isRemainder = (value: Value, divisor: bigint, rest: bigint): boolean => equal(binary('%', value, divisor), rest);
const isSequence = (value: Value): boolean =>
  typeof value === 'string' ||
  Array.isArray(value) ||
  value instanceof Tuple ||
  value instanceof Dict ||
  value instanceof Range ||
  value instanceof Undefined ||
  value instanceof Markup;

export const TESTS: Readonly<Record<string, Test>> = {
  odd: value => isRemainder(value, 2n, 1n),
  even: value => isRemainder(value, 2n, 0n),
  divisibleby: (value, args) => equal(binary('%', value, argument(args)), 0n),
  defined: value => !(value instanceof Undefined),
  undefined: value => value instanceof Undefined,
  none: value => value === null,
  boolean: value => typeof value === 'boolean',
  false: value => value === false,
  true: value => value === true,
  integer: value => typeof value === 'bigint',
  float: value => typeof value === 'number',
  number: isNumber,
  string: value => typeof value === 'string' || value instanceof Markup,
  lower: value => isLower(str(value)),
  upper: value => isUpper(str(value)),
  mapping: value => value instanceof Dict,
  sequence: isSequence,
  iterable: value =>
    isSequence(value) ||
    value instanceof DictView ||
    (typeof value === 'object' && value !== null && !(value instanceof Callable) && !(value instanceof Namespace)),
  callable: value => value instanceof Callable,
  sameas: (value, args) => value === argument(args),
  escaped: value => value instanceof Markup,
  in: (value, args) => contains(argument(args), value),
  '==': compared('=='),
  eq: compared('=='),
  equalto: compared('=='),
  '!=': compared('!='),
  ne: compared('!='),
  '>': compared('>'),
  gt: compared('>'),
  greaterthan: compared('>'),
  '>=': compared('>='),
  ge: compared('>='),
  '<': compared('<'),
  lt: compared('<'),
  lessthan: compared('<'),
  '<=': compared('<='),
  le: compared('<='),
};
