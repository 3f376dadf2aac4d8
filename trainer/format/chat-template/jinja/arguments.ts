/** Arguments of a Python function, by position or by name. */

import { elementAt } from '../../../narrow.ts';
import { TemplateError } from './template-error.ts';
import { str } from './text.ts';
import { isNumber, numeric, typeName, type Value } from './values.ts';

export class Arguments {
  private readonly values: ReadonlyMap<string, Value>;
  /** Positional arguments beyond the parameters. */
  readonly rest: readonly Value[];

  /** @param names the parameters, in order; `*` at the end allows more arguments @throws TemplateError for excess or unknown arguments */
  constructor(what: string, names: readonly string[], args: readonly Value[], named: ReadonlyMap<string, Value>) {
    const open = names.at(-1) === '*';
    const parameters = open ? names.slice(0, -1) : names;
    if (args.length > parameters.length && !open)
      throw new TemplateError(`${what}() takes at most ${parameters.length} arguments, not ${args.length}`);
    const values = new Map<string, Value>();
    for (const [i, name] of parameters.entries()) if (i < args.length) values.set(name, elementAt(args, i));
    for (const [name, value] of named) {
      if (!parameters.includes(name)) throw new TemplateError(`${what}() got an unexpected keyword argument '${name}'`);
      if (values.has(name)) throw new TemplateError(`${what}() got multiple values for argument '${name}'`);
      values.set(name, value);
    }
    this.values = values;
    this.rest = args.slice(parameters.length);
  }

  has(name: string): boolean {
    return this.values.has(name);
  }
  get(name: string): Value {
    const value = this.values.get(name);
    if (value === undefined) throw new TemplateError(`the argument ${name} is missing`);
    return value;
  }
  optional(name: string): Value | undefined {
    const value = this.values.get(name);
    return value === null ? undefined : value;
  }
  text(name: string, byDefault?: string): string {
    const value = this.values.get(name) ?? byDefault;
    if (typeof value !== 'string')
      throw new TemplateError(`the argument ${name} must be str, not ${value === undefined ? 'missing' : typeName(value)}`);
    return value;
  }
  /** Returns the argument as `str` writes it. */
  written(name: string): string {
    return str(this.get(name));
  }
  whole(name: string, byDefault?: number): number {
    const value = this.values.get(name);
    if (value === undefined || value === null) {
      if (byDefault !== undefined) return byDefault;
      throw new TemplateError(`the argument ${name} is missing`);
    }
    if (!isNumber(value) || typeof value === 'number')
      throw new TemplateError(`'${typeName(value)}' object cannot be interpreted as an integer`);
    return Number(numeric(value));
  }
}
