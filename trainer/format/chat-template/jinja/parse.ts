/** Parses a template's source into its syntax tree. */
import { tokenize } from './lexer.ts';
import type { Body, Expression, Parameter, Statement, Target } from './nodes.ts';
import { parseExpression, parseFilter, parseTuple } from './parse-expression.ts';
import { unsupported } from './template-error.ts';
import { TokenReader } from './token-reader.ts';

/** Jinja statements that have no loader or no use in Transformers, or that change the meaning of everything else. */
const REFUSED: readonly string[] = ['block', 'extends', 'include', 'import', 'from', 'autoescape'];

/** @throws TemplateError with the line of a syntax error */
export function parseTemplate(source: string): Body {
  const reader = new TokenReader(tokenize(source));
  const body = parseBody(reader, []);
  return reader.current === undefined ? body : reader.fail('unexpected end of a block');
}

/** Parses statements up to one of the ends. The end tag stays open: `{%` is consumed, its name is not. */
function parseBody(reader: TokenReader, ends: readonly string[]): Body {
  return reader.nested(() => {
    const body: Statement[] = [];
    for (let { current } = reader; current !== undefined; { current } = reader) {
      if (current.kind === 'text') {
        reader.next();
        body.push({ type: 'text', text: current.value });
      } else if (current.value === '{{') {
        reader.next();
        body.push({ type: 'output', value: parseTuple(reader) });
        reader.expect('close', '}}');
      } else {
        if (ends.some(end => reader.is('name', end, 1))) {
          reader.next();
          return body;
        }
        reader.expect('open', '{%');
        body.push(...statement(reader));
      }
    }
    if (ends.length > 0) reader.fail(`expected {% ${ends.join(' %} or {% ')} %}`);
    return body;
  });
}

/** Parses a body and its end tag. */
function block(reader: TokenReader, end: string): Body {
  reader.expect('close', '%}');
  const body = parseBody(reader, [end]);
  reader.expect('name', end);
  reader.expect('close', '%}');
  return body;
}

function statement(reader: TokenReader): readonly Statement[] {
  const name = reader.name();
  if (REFUSED.includes(name)) throw unsupported(`{% ${name} %}`);
  const parse = Object.hasOwn(STATEMENTS, name) ? STATEMENTS[name] : undefined;
  return parse === undefined ? reader.fail(`unknown statement ${name}`) : parse(reader);
}

const STATEMENTS: Readonly<Record<string, (reader: TokenReader) => readonly Statement[]>> = {
  if: reader => [parseIf(reader)],
  for: reader => [parseFor(reader)],
  set: reader => [parseSet(reader)],
  with: reader => {
    const bindings: Array<readonly [Target, Expression]> = [];
    while (!reader.is('close')) {
      if (bindings.length > 0) reader.expect('operator', ',');
      const target = parseTarget(reader, []);
      reader.expect('operator', '=');
      bindings.push([target, parseExpression(reader)]);
    }
    return [{ type: 'with', bindings, body: block(reader, 'endwith') }];
  },
  filter: reader => {
    let filter = parseFilter(reader, undefined);
    while (reader.skip('operator', '|')) filter = parseFilter(reader, filter);
    return [{ type: 'filter-block', filter, body: block(reader, 'endfilter') }];
  },
  macro: reader => {
    const name = reader.name();
    const parameters = parseParameters(reader);
    return [{ type: 'macro', name, parameters, body: block(reader, 'endmacro') }];
  },
  call: reader => {
    const parameters = reader.is('operator', '(') ? parseParameters(reader) : [];
    const call = parseExpression(reader);
    if (call.type !== 'call') reader.fail('expected a call');
    return [{ type: 'call-block', call, parameters, body: block(reader, 'endcall') }];
  },
  generation: reader => [{ type: 'generation', body: block(reader, 'endgeneration') }],
  print: reader => {
    const values = [parseExpression(reader)];
    while (reader.skip('operator', ',')) values.push(parseExpression(reader));
    reader.expect('close', '%}');
    return values.map((value): Statement => ({ type: 'output', value }));
  },
  break: reader => loopControl(reader, 'break'),
  continue: reader => loopControl(reader, 'continue'),
};

function loopControl(reader: TokenReader, type: 'break' | 'continue'): readonly Statement[] {
  if (reader.loops === 0) reader.fail(`${type} outside of a loop`);
  reader.expect('close', '%}');
  return [{ type }];
}

function parseIf(reader: TokenReader): Statement {
  const branches: Array<readonly [Expression, Body]> = [];
  for (;;) {
    const test = parseTuple(reader, { conditions: false });
    reader.expect('close', '%}');
    branches.push([test, parseBody(reader, ['elif', 'else', 'endif'])]);
    if (reader.skip('name', 'elif')) continue;
    const otherwise = reader.skip('name', 'else') ? block(reader, 'endif') : endOf(reader, 'endif');
    return { type: 'if', branches, otherwise };
  }
}

function endOf(reader: TokenReader, end: string): Body {
  reader.expect('name', end);
  reader.expect('close', '%}');
  return [];
}

function parseFor(reader: TokenReader): Statement {
  const target = parseTarget(reader, ['in']);
  if (namesOf(target).includes('loop')) reader.fail('the variable of a loop can not be called loop');
  reader.expect('name', 'in');
  const iterable = parseTuple(reader, { conditions: false, ends: ['recursive'] });
  const filter = reader.skip('name', 'if') ? parseExpression(reader) : undefined;
  const recursive = reader.skip('name', 'recursive');
  reader.expect('close', '%}');
  reader.loops++;
  const body = parseBody(reader, ['else', 'endfor']);
  reader.loops--;
  const otherwise = reader.skip('name', 'else') ? block(reader, 'endfor') : endOf(reader, 'endfor');
  return { type: 'for', target, iterable, filter, recursive, body, otherwise };
}

function parseSet(reader: TokenReader): Statement {
  const target = parseTarget(reader, []);
  if (reader.skip('operator', '=')) {
    const value = parseTuple(reader);
    reader.expect('close', '%}');
    return { type: 'set', target, value };
  }
  let filter: Expression | undefined;
  while (reader.skip('operator', '|')) filter = parseFilter(reader, filter);
  return { type: 'set-block', target, filter, body: block(reader, 'endset') };
}

/** Parses an assignment target: a name, a field of a namespace, or several in a tuple. */
function parseTarget(reader: TokenReader, ends: readonly string[]): Target {
  const items: Target[] = [];
  let comma = false;
  while (!reader.is('close') && !reader.is('operator', '=') && !reader.is('operator', ')') && !ends.some(end => reader.is('name', end))) {
    items.push(reader.nested(() => oneTarget(reader)));
    if (!reader.skip('operator', ',')) break;
    comma = true;
  }
  const [first] = items;
  if (first === undefined) return reader.fail('expected a name to assign to');
  return comma ? { type: 'tuple', items } : first;
}

function oneTarget(reader: TokenReader): Target {
  if (reader.skip('operator', '(')) {
    const inner = parseTarget(reader, []);
    reader.expect('operator', ')');
    return inner;
  }
  const name = reader.name();
  if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name)) reader.fail(`${name} can not be assigned to`);
  return reader.skip('operator', '.') ? { type: 'field', of: name, name: reader.name() } : { type: 'name', name };
}

const namesOf = (target: Target): readonly string[] =>
  target.type === 'tuple' ? target.items.flatMap(namesOf) : target.type === 'name' ? [target.name] : [];

function parseParameters(reader: TokenReader): Parameter[] {
  reader.expect('operator', '(');
  const parameters: Parameter[] = [];
  while (!reader.skip('operator', ')')) {
    if (parameters.length > 0) reader.expect('operator', ',');
    const name = reader.name();
    const byDefault = reader.skip('operator', '=') ? parseExpression(reader) : undefined;
    if (byDefault === undefined && parameters.at(-1)?.byDefault !== undefined)
      reader.fail('a parameter without a default follows one with a default');
    parameters.push({ name, byDefault });
  }
  return parameters;
}
