/** Evaluates a template's expressions with Python's semantics. */
import { attribute, item, slice } from './attributes.ts';
import { spend, spendItems } from './budget.ts';
import type { FilterContext } from './filter.ts';
import { FILTERS, REFUSED_FILTERS } from './filters.ts';
import type { Argument, Expression } from './nodes.ts';
import { binary, compare } from './operators.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { TESTS } from './tests.ts';
import { str } from './text.ts';
import { Callable, Dict, isNumber, isTrue, itemsOf, keyOf, Markup, numeric, Tuple, Undefined, type Value } from './values.ts';

/** Visible names, innermost scope first. */
export class Scope {
  private readonly own = new Map<string, Value>();
  private readonly outer: Scope | undefined;
  private readonly base: ReadonlyMap<string, Value>;

  constructor(outer: Scope | undefined, base: ReadonlyMap<string, Value> = new Map()) {
    this.outer = outer;
    this.base = base;
  }

  get(name: string): Value | undefined {
    const own = this.own.get(name);
    if (own !== undefined) return own;
    const given = this.base.get(name);
    return given === undefined ? this.outer?.get(name) : given;
  }
  set(name: string, value: Value): void {
    this.own.set(name, value);
  }
}

/** Counts the cost of a filter or test that reads a value. */
function spendOn(value: Value): void {
  if (typeof value === 'string') spend(value.length);
  else if (value instanceof Markup) spend(value.text.length);
  else spendItems(Array.isArray(value) ? value.length : value instanceof Tuple ? value.items.length : 0);
}

const context: FilterContext = {
  filter: (name, value, args, named) => {
    const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
    if (REFUSED_FILTERS.includes(name)) throw unsupported(`the filter ${name}`);
    if (filter === undefined) throw new TemplateError(`No filter named '${name}'.`);
    spendOn(value);
    return filter(value, args, named, context);
  },
  test: (name, value, args) => {
    if (name === 'filter') return Object.hasOwn(FILTERS, str(value)) || REFUSED_FILTERS.includes(str(value));
    if (name === 'test') return Object.hasOwn(TESTS, str(value)) || ['filter', 'test'].includes(str(value));
    const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
    if (test === undefined) throw new TemplateError(`No test named '${name}'.`);
    spendOn(value);
    return test(value, args);
  },
};

/** @throws TemplateError for operations that Python or Jinja refuses */
export function evaluate(node: Expression, scope: Scope): Value {
  spend();
  const own = (expression: Expression): Value => evaluate(expression, scope);
  switch (node.type) {
    case 'constant':
      return node.value;
    case 'name': {
      const value = scope.get(node.name);
      if (value === undefined && node.name === 'self') throw unsupported('self');
      return value === undefined ? new Undefined(node.name) : value;
    }
    case 'list':
      return node.items.map(own);
    case 'tuple':
      return new Tuple(node.items.map(own));
    case 'dict':
      return new Dict(node.entries.map(([key, value]) => [checkedKey(own(key)), own(value)] as const));
    case 'attribute':
      return attribute(own(node.of), node.name);
    case 'item':
      return item(own(node.of), own(node.key));
    case 'slice': {
      const [start, stop, step] = node.parts.map(part => (part === undefined ? null : own(part)));
      return slice(own(node.of), [start ?? null, stop ?? null, step ?? null]);
    }
    case 'call': {
      const callee = own(node.callee);
      return callValue(callee, ...evaluateArguments(node.args, scope));
    }
    case 'filter': {
      const value = node.of === undefined ? '' : own(node.of);
      return context.filter(node.name, value, ...evaluateArguments(node.args, scope));
    }
    case 'test': {
      const value = own(node.of);
      const [args, named] = evaluateArguments(node.args, scope);
      return context.test(node.name, value, [...args, ...named.values()]);
    }
    case 'not':
      return !isTrue(own(node.of));
    case 'negative':
    case 'positive':
      return signed(own(node.of), node.type === 'negative');
    case 'and': {
      const left = own(node.left);
      return isTrue(left) ? own(node.right) : left;
    }
    case 'or': {
      const left = own(node.left);
      return isTrue(left) ? left : own(node.right);
    }
    case 'binary':
      return binary(node.operator, own(node.left), own(node.right));
    case 'concat': {
      const text = node.parts.map(part => str(own(part))).join('');
      spend(text.length);
      return text;
    }
    case 'compare': {
      // A chained comparison compares each value with its neighbor.
      let left = own(node.first);
      for (const [operator, expression] of node.rest) {
        const right = own(expression);
        if (!compare(operator, left, right)) return false;
        left = right;
      }
      return true;
    }
    case 'conditional':
      if (isTrue(own(node.test))) return own(node.value);
      return node.otherwise === undefined ? new Undefined('the inline if-expression') : own(node.otherwise);
  }
}

function checkedKey(key: Value): Value {
  keyOf(key);
  return key;
}

function signed(value: Value, negative: boolean): Value {
  if (value instanceof Undefined) throw new TemplateError(`'${value.name}' is undefined`);
  if (!isNumber(value)) throw new TemplateError('bad operand type for a sign');
  const number = numeric(value);
  return negative ? -number : number;
}

export function evaluateArguments(args: readonly Argument[], scope: Scope): readonly [readonly Value[], ReadonlyMap<string, Value>] {
  const positional: Value[] = [];
  const named = new Map<string, Value>();
  for (const { name, value, spread } of args) {
    const given = evaluate(value, scope);
    if (spread === '*') for (const part of itemsOf(given)) positional.push(part);
    else if (spread === '**') {
      if (!(given instanceof Dict)) throw new TemplateError('argument after ** must be a mapping');
      for (const [key, own] of given.entries()) named.set(str(key), own);
    } else if (name === undefined) positional.push(given);
    else if (named.has(name)) throw new TemplateError(`keyword argument repeated: ${name}`);
    else named.set(name, given);
  }
  return [positional, named];
}

export function callValue(callee: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
  if (callee instanceof Callable) return callee.call(args, named);
  throw new TemplateError(callee instanceof Undefined ? `'${callee.name}' is undefined` : 'the value is not callable');
}
