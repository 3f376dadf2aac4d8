/** Renders a template. */
import { elementAt } from '../../../narrow.ts';
import { MAX_DEPTH, MAX_SIZE, spend } from './budget.ts';
import { callValue, evaluate, evaluateArguments, Scope } from './expressions.ts';
import { setField } from './globals.ts';
import { type LoopState, loopValue } from './loop.ts';
import type { Body, Expression, Parameter, Statement, Target } from './nodes.ts';
import { TemplateError } from './template-error.ts';
import { str } from './text.ts';
import { Callable, Dict, isTrue, itemsOf, Namespace, orElse, Tuple, Undefined, type Value } from './values.ts';

export interface Rendered {
  readonly text: string;
  /** Ranges of the text inside `{% generation %}`. */
  readonly generated: ReadonlyArray<readonly [from: number, to: number]>;
}

/**
 * @param variables of the caller @param globals available to every template
 * @throws TemplateError for anything that Python or Jinja refuses, that is not supported, or that exceeds the limits
 */
export function renderTemplate(body: Body, variables: ReadonlyMap<string, Value>, globals: ReadonlyMap<string, Value>): Rendered {
  const run = new Run();
  run.statements(body, new Scope(new Scope(undefined, globals), variables));
  return { text: run.top.text, generated: run.generated };
}

/** Collects text: the result, or the text of a macro or block. */
class Sink {
  text = '';

  write(text: string): void {
    this.text += text;
    spend(text.length);
    if (this.text.length > MAX_SIZE) throw new TemplateError(`the text is longer than ${MAX_SIZE} characters`);
  }
}

/** How a body ends early. */
type Ending = 'break' | 'continue' | undefined;

class Run {
  readonly top = new Sink();
  readonly generated: Array<readonly [number, number]> = [];
  private sink = this.top;
  private depth = 0;

  statements(body: Body, scope: Scope): Ending {
    for (const statement of body) {
      const ending = this.statement(statement, scope);
      if (ending !== undefined) return ending;
    }
    return undefined;
  }

  /** Returns the text of a body, rendered in its own scope. */
  private captured(body: Body, scope: Scope): string {
    const [outer, sink] = [this.sink, new Sink()];
    this.sink = sink;
    try {
      this.statements(body, scope);
    } finally {
      this.sink = outer;
    }
    return sink.text;
  }

  private statement(node: Statement, scope: Scope): Ending {
    spend();
    switch (node.type) {
      case 'text':
        this.sink.write(node.text);
        return undefined;
      case 'output':
        this.sink.write(str(evaluate(node.value, scope)));
        return undefined;
      case 'if': {
        const branch = node.branches.find(([test]) => isTrue(evaluate(test, scope)));
        return this.statements(branch?.[1] ?? node.otherwise, scope);
      }
      case 'for':
        this.loop(node, evaluate(node.iterable, scope), scope, 0);
        return undefined;
      case 'break':
      case 'continue':
        return node.type;
      case 'set':
        assign(node.target, evaluate(node.value, scope), scope);
        return undefined;
      case 'set-block': {
        const text = this.captured(node.body, new Scope(scope));
        assign(node.target, node.filter === undefined ? text : filtered(node.filter, text, scope), scope);
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of node.bindings) assign(target, evaluate(value, scope), inner);
        return this.statements(node.body, inner);
      }
      case 'filter-block':
        this.sink.write(str(filtered(node.filter, this.captured(node.body, new Scope(scope)), scope)));
        return undefined;
      case 'macro':
        scope.set(node.name, this.macro(node.name, node.parameters, node.body, scope));
        return undefined;
      case 'call-block': {
        const caller = this.macro('caller', node.parameters, node.body, scope);
        if (node.call.type !== 'call') throw new TemplateError('a call block needs a call');
        const callee = evaluate(node.call.callee, scope);
        const [args, named] = evaluateArguments(node.call.args, scope);
        this.sink.write(str(callValue(callee, args, new Map([...named, ['caller', caller]]))));
        return undefined;
      }
      case 'generation': {
        const text = this.captured(node.body, new Scope(scope));
        const from = this.top.text.length;
        this.generated.push([from, from + text.length]);
        this.sink.write(text);
        return undefined;
      }
    }
  }

  private loop(node: Extract<Statement, { type: 'for' }>, iterable: Value, scope: Scope, depth: number): void {
    this.nested(() => {
      const items = itemsOf(iterable).filter(value => {
        spend();
        if (node.filter === undefined) return true;
        const inner = new Scope(scope);
        assign(node.target, value, inner);
        return isTrue(evaluate(node.filter, inner));
      });
      if (items.length === 0) {
        this.statements(node.otherwise, new Scope(scope));
        return;
      }
      const again = (others: Value): string => {
        const [outer, sink] = [this.sink, new Sink()];
        this.sink = sink;
        try {
          this.loop(node, others, scope, depth + 1);
        } finally {
          this.sink = outer;
        }
        return sink.text;
      };
      const state: LoopState = { items, depth, again: node.recursive ? again : undefined, index: 0, changed: undefined };
      for (const [index, value] of items.entries()) {
        spend();
        state.index = index;
        const inner = new Scope(scope);
        inner.set('loop', loopValue(state));
        assign(node.target, value, inner);
        if (this.statements(node.body, inner) === 'break') break;
      }
    });
  }

  private nested(run: () => void): void {
    if (++this.depth > MAX_DEPTH) throw new TemplateError(`macros and loops are nested more than ${MAX_DEPTH} deep`);
    run();
    this.depth--;
  }

  /** Defines a macro, which can use the names around its definition. */
  private macro(name: string, parameters: readonly Parameter[], body: Body, scope: Scope): Callable {
    const uses = (special: string): boolean => mentions(body, special) || parameters.some(p => mentions(p, special));
    const [more, others, caller] = [uses('varargs'), uses('kwargs'), uses('caller')];
    const names = parameters.map(parameter => parameter.name);
    const call = (args: readonly Value[], named: ReadonlyMap<string, Value>): Value => {
      const inner = new Scope(scope);
      const rest = new Map(named);
      for (const [i, { name: own }] of parameters.entries()) {
        if (i < args.length && rest.has(own)) throw new TemplateError(`macro '${name}' got two values for ${own}`);
        inner.set(
          own,
          orElse(
            orElse(args[i], () => rest.get(own)),
            () => new Undefined(own),
          ),
        );
        rest.delete(own);
      }
      if (caller)
        inner.set(
          'caller',
          orElse(rest.get('caller'), () => new Undefined('No caller defined')),
        );
      if (caller) rest.delete('caller');
      if (args.length > names.length && !more) throw new TemplateError(`macro '${name}' takes not more than ${names.length} argument(s)`);
      if (rest.size > 0 && !others) throw new TemplateError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
      if (more) inner.set('varargs', new Tuple(args.slice(names.length)));
      if (others) inner.set('kwargs', new Dict(rest));
      for (const { name: own, byDefault } of parameters)
        if (byDefault !== undefined && inner.get(own) instanceof Undefined) inner.set(own, evaluate(byDefault, inner));
      let text = '';
      this.nested(() => {
        text = this.captured(body, inner);
      });
      return text;
    };
    const fields: Readonly<Record<string, Value>> = {
      name,
      arguments: new Tuple(names),
      catch_varargs: more,
      catch_kwargs: others,
      caller,
    };
    return new Callable(name, call, field => (Object.hasOwn(fields, field) ? fields[field] : undefined), `<Macro '${name}'>`);
  }
}

/** @throws TemplateError if the numbers of values and names differ, or for a field of a value that is not a namespace */
function assign(target: Target, value: Value, scope: Scope): void {
  if (target.type === 'name') scope.set(target.name, value);
  else if (target.type === 'field') {
    const namespace = scope.get(target.of);
    if (!(namespace instanceof Namespace))
      throw new TemplateError(`${target.of} is not a namespace, so ${target.of}.${target.name} can not be set`);
    setField(namespace, target.name, value);
  } else {
    const values = itemsOf(value);
    if (values.length !== target.items.length) throw new TemplateError(`expected ${target.items.length} values, found ${values.length}`);
    for (const [i, own] of target.items.entries()) assign(own, elementAt(values, i), scope);
  }
}

/** Applies the filters of a block to its text. */
function filtered(filter: Expression, text: string, scope: Scope): Value {
  if (filter.type !== 'filter') throw new TemplateError('a filter block accepts only filters');
  const of: Expression = { type: 'constant', value: filter.of === undefined ? text : str(filtered(filter.of, text, scope)) };
  return evaluate({ ...filter, of }, scope);
}

/** True if a name is used anywhere in a part of a template. */
function mentions(node: unknown, name: string): boolean {
  if (Array.isArray(node)) return node.some(part => mentions(part, name));
  if (typeof node !== 'object' || node === null) return false;
  if ('type' in node && node.type === 'name' && 'name' in node && node.name === name) return true;
  return Object.values(node).some(part => mentions(part, name));
}
