/** Parses Jinja's expressions, loosest binding first. */
import { elementAt } from '../../../narrow.ts';
import type { Argument, BinaryOperator, Comparison, Expression } from './nodes.ts';
import type { TokenReader } from './token-reader.ts';

const COMPARISONS: readonly Comparison[] = ['==', '!=', '<', '>', '<=', '>='];
const CONSTANTS: Readonly<Record<string, boolean | null>> = { true: true, True: true, false: false, False: false, none: null, None: null };

export const parseExpression = (reader: TokenReader): Expression => reader.nested(() => conditional(reader));

/**
 * Parses one expression, or several as a tuple. @param ends names that end it (`in`, `recursive`) @param conditions false if an `if`
 * belongs to the enclosing statement
 */
export function parseTuple(reader: TokenReader, { ends = [], conditions = true, parentheses = false }: TupleOptions = {}): Expression {
  const items: Expression[] = [];
  let comma = false;
  while (!endsTuple(reader, ends)) {
    items.push(conditions ? parseExpression(reader) : reader.nested(() => or(reader)));
    if (!reader.skip('operator', ',')) break;
    comma = true;
  }
  if (!comma && items[0] !== undefined) return items[0];
  if (items.length === 0 && !parentheses) reader.fail('expected an expression');
  return { type: 'tuple', items };
}

interface TupleOptions {
  readonly ends?: readonly string[];
  readonly conditions?: boolean;
  readonly parentheses?: boolean;
}

const endsTuple = (reader: TokenReader, ends: readonly string[]): boolean =>
  reader.current === undefined || reader.is('close') || reader.is('operator', ')') || ends.some(name => reader.is('name', name));

function conditional(reader: TokenReader): Expression {
  let result = or(reader);
  while (reader.skip('name', 'if')) {
    const test = or(reader);
    const otherwise = reader.skip('name', 'else') ? reader.nested(() => conditional(reader)) : undefined;
    result = { type: 'conditional', test, value: result, otherwise };
  }
  return result;
}

function or(reader: TokenReader): Expression {
  let left = and(reader);
  while (reader.skip('name', 'or')) left = { type: 'or', left, right: and(reader) };
  return left;
}

function and(reader: TokenReader): Expression {
  let left = not(reader);
  while (reader.skip('name', 'and')) left = { type: 'and', left, right: not(reader) };
  return left;
}

function not(reader: TokenReader): Expression {
  return reader.skip('name', 'not') ? { type: 'not', of: reader.nested(() => not(reader)) } : compare(reader);
}

function compare(reader: TokenReader): Expression {
  const first = sum(reader);
  const rest: Array<readonly [Comparison, Expression]> = [];
  for (;;) {
    const { current } = reader;
    const operator = current?.kind === 'operator' ? COMPARISONS.find(each => each === current.value) : undefined;
    if (operator !== undefined) {
      reader.next();
      rest.push([operator, sum(reader)]);
    } else if (reader.skip('name', 'in')) {
      rest.push(['in', sum(reader)]);
    } else if (reader.is('name', 'not') && reader.is('name', 'in', 1)) {
      reader.next();
      reader.next();
      rest.push(['not in', sum(reader)]);
    } else {
      return rest.length === 0 ? first : { type: 'compare', first, rest };
    }
  }
}

const binary =
  (operators: readonly BinaryOperator[], operand: (reader: TokenReader) => Expression) =>
  (reader: TokenReader): Expression => {
    let left = operand(reader);
    for (;;) {
      const { current } = reader;
      const operator = current?.kind === 'operator' ? operators.find(each => each === current.value) : undefined;
      if (operator === undefined) return left;
      reader.next();
      left = { type: 'binary', operator, left, right: operand(reader) };
    }
  };

const power = binary(['**'], reader => unary(reader, true));
const product = binary(['*', '/', '//', '%'], power);
const sum = binary(['+', '-'], concat);

function concat(reader: TokenReader): Expression {
  const parts = [product(reader)];
  while (reader.skip('operator', '~')) parts.push(product(reader));
  return parts.length === 1 ? elementAt(parts, 0) : { type: 'concat', parts };
}

function unary(reader: TokenReader, filters: boolean): Expression {
  let result: Expression;
  if (reader.skip('operator', '-')) result = { type: 'negative', of: reader.nested(() => unary(reader, false)) };
  else if (reader.skip('operator', '+')) result = { type: 'positive', of: reader.nested(() => unary(reader, false)) };
  else result = primary(reader);
  result = postfix(reader, result);
  return filters ? filtered(reader, result) : result;
}

function primary(reader: TokenReader): Expression {
  const token = reader.next();
  if (token.kind === 'name') {
    const constant = Object.hasOwn(CONSTANTS, token.value) ? CONSTANTS[token.value] : undefined;
    if (constant !== undefined) return { type: 'constant', value: constant };
    return { type: 'name', name: token.value };
  }
  if (token.kind === 'string') {
    let { value } = token;
    while (reader.is('string')) value += String(reader.next().value);
    return { type: 'constant', value };
  }
  if (token.kind === 'integer' || token.kind === 'float') return { type: 'constant', value: token.value };
  if (token.kind === 'operator' && token.value === '(') {
    const inner = reader.nested(() => parseTuple(reader, { parentheses: true }));
    reader.expect('operator', ')');
    return inner;
  }
  if (token.kind === 'operator' && token.value === '[')
    return { type: 'list', items: separated(reader, ']', () => parseExpression(reader)) };
  if (token.kind === 'operator' && token.value === '{') {
    const entries = separated(reader, '}', (): readonly [Expression, Expression] => {
      const key = parseExpression(reader);
      reader.expect('operator', ':');
      return [key, parseExpression(reader)];
    });
    return { type: 'dict', entries };
  }
  return reader.fail(`unexpected ${JSON.stringify(String(token.value).slice(0, 40))}`);
}

function separated<T>(reader: TokenReader, end: string, parse: () => T): T[] {
  const items: T[] = [];
  while (!reader.skip('operator', end)) {
    if (items.length > 0) reader.expect('operator', ',');
    if (reader.skip('operator', end)) break;
    items.push(parse());
  }
  return items;
}

function postfix(reader: TokenReader, of: Expression): Expression {
  let result = of;
  for (;;) {
    if (reader.skip('operator', '.')) {
      const token = reader.next();
      if (token.kind === 'name') result = { type: 'attribute', of: result, name: token.value };
      else if (token.kind === 'integer') result = { type: 'item', of: result, key: { type: 'constant', value: token.value } };
      else reader.fail('expected a name or a number after the dot');
    } else if (reader.skip('operator', '[')) result = subscript(reader, result);
    else if (reader.is('operator', '(')) result = { type: 'call', callee: result, args: parseArguments(reader) };
    else return result;
  }
}

function subscript(reader: TokenReader, of: Expression): Expression {
  const parts: Array<Expression | undefined> = [undefined, undefined, undefined];
  let colons = 0;
  while (!reader.skip('operator', ']')) {
    if (reader.skip('operator', ':')) {
      if (++colons > 2) reader.fail('a slice has at most three parts');
    } else if (parts[colons] === undefined) parts[colons] = parseExpression(reader);
    else reader.fail('expected ] or :');
  }
  const [first, second, third] = parts;
  if (colons > 0) return { type: 'slice', of, parts: [first, second, third] };
  return { type: 'item', of, key: first ?? reader.fail('expected an index') };
}

function filtered(reader: TokenReader, of: Expression): Expression {
  let result = of;
  for (;;) {
    if (reader.skip('operator', '|')) result = parseFilter(reader, result);
    else if (reader.skip('name', 'is')) result = test(reader, result);
    else if (reader.is('operator', '(')) result = { type: 'call', callee: result, args: parseArguments(reader) };
    else return result;
  }
}

/** Parses the filter after `|`. @param of undefined for a block whose text is filtered */
export function parseFilter(reader: TokenReader, of: Expression | undefined): Expression {
  const name = dottedName(reader);
  return { type: 'filter', of, name, args: reader.is('operator', '(') ? parseArguments(reader) : [] };
}

function dottedName(reader: TokenReader): string {
  let name = reader.name();
  while (reader.skip('operator', '.')) name += `.${reader.name()}`;
  return name;
}

function test(reader: TokenReader, of: Expression): Expression {
  const negated = reader.skip('name', 'not');
  const name = dottedName(reader);
  let args: readonly Argument[] = [];
  const { current } = reader;
  if (reader.is('operator', '(')) args = parseArguments(reader);
  else if (current !== undefined && beginsArgument(current.kind, String(current.value))) {
    if (current.value === 'is') reader.fail('tests can not be chained with is');
    args = [{ name: undefined, spread: '', value: reader.nested(() => postfix(reader, primary(reader))) }];
  }
  const result: Expression = { type: 'test', of, name, args };
  return negated ? { type: 'not', of: result } : result;
}

const beginsArgument = (kind: string, value: string): boolean =>
  kind === 'name'
    ? !['else', 'or', 'and'].includes(value)
    : kind === 'operator'
      ? ['[', '{'].includes(value)
      : ['string', 'integer', 'float'].includes(kind);

function parseArguments(reader: TokenReader): Argument[] {
  reader.expect('operator', '(');
  return reader.nested(() =>
    separated(reader, ')', (): Argument => {
      if (reader.skip('operator', '*')) return { name: undefined, spread: '*', value: parseExpression(reader) };
      if (reader.skip('operator', '**')) return { name: undefined, spread: '**', value: parseExpression(reader) };
      const name = reader.is('name') && reader.is('operator', '=', 1) ? reader.name() : undefined;
      if (name !== undefined) reader.next();
      return { name, spread: '', value: parseExpression(reader) };
    }),
  );
}
