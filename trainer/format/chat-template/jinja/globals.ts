/** The functions that every template can call. */
import { elementAt } from '../../../narrow.ts';
import { Arguments } from './arguments.ts';
import { MAX_RANGE, spendItems } from './budget.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { str } from './text.ts';
import { type Call, Callable, Dict, itemsOf, Namespace, orElse, Range, toValue, Undefined, type Value } from './values.ts';

const named = (name: string, call: Call, fields?: (name: string) => Value | undefined): readonly [string, Callable] => [
  name,
  new Callable(name, call, fields),
];

/** @param formatTime formats the current time with a `strftime` format */
export function globalsOf(formatTime: (format: string) => string): ReadonlyMap<string, Value> {
  return new Map<string, Value>([
    named('range', (args, names) => range(new Arguments('range', ['start', 'stop', 'step'], args, names), args.length)),
    named('dict', toDict, name => (name === 'fromkeys' ? new Callable(name, fromKeys) : undefined)),
    named('namespace', (args, names) => {
      const result = new Namespace();
      for (const [key, value] of toDict(args, names).entries()) setField(result, str(key), value);
      return result;
    }),
    named('cycler', cycler),
    named('joiner', (args, names) => {
      const separator = new Arguments('joiner', ['sep'], args, names).text('sep', ', ');
      let used = false;
      return new Callable('joiner', () => {
        const text = used ? separator : '';
        used = true;
        return text;
      });
    }),
    named('lipsum', () => {
      throw unsupported('lipsum');
    }),
    named('raise_exception', args => {
      throw new TemplateError(str(orElse(args[0], () => new Undefined(''))));
    }),
    named('strftime_now', (args, names) => {
      const format = new Arguments('strftime_now', ['format'], args, names).text('format');
      spendItems(format.length);
      return formatTime(format);
    }),
  ]);
}

/** @throws TemplateError for a name that Transformers does not let a template assign */
export function setField(namespace: Namespace, name: string, value: Value): void {
  if (name.startsWith('_')) throw new TemplateError(`a namespace cannot have the field ${name}, because it starts with an underscore`);
  namespace.fields.set(name, value);
}

function range(args: Arguments, given: number): Range {
  const [start, stop] = given > 1 || args.has('stop') ? [args.whole('start'), args.whole('stop')] : [0, args.whole('start')];
  const step = args.whole('step', 1);
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const result = new Range(start, stop, step);
  if (result.length > MAX_RANGE) throw new TemplateError(`a range of ${result.length} is longer than ${MAX_RANGE}`);
  return result;
}

function toDict(args: readonly Value[], names: ReadonlyMap<string, Value>): Dict {
  const [first] = args;
  if (args.length > 1) throw new TemplateError(`dict expected at most 1 argument, got ${args.length}`);
  const entries =
    first === undefined
      ? []
      : first instanceof Dict
        ? first.entries()
        : itemsOf(first).map((pair): readonly [Value, Value] => {
            const [key, value, ...more] = itemsOf(pair);
            if (key === undefined || value === undefined || more.length > 0)
              throw new TemplateError('dict needs pairs of a key and a value');
            return [key, value];
          });
  return new Dict([...entries, ...names]);
}

const fromKeys: Call = args => new Dict(itemsOf(orElse(args[0], () => new Undefined(''))).map(key => [key, args[1] ?? null] as const));

function cycler(values: readonly Value[]): Callable {
  if (values.length === 0) throw new TemplateError('at least one item has to be provided');
  let at = 0;
  const fields = (name: string): Value | undefined => {
    if (name === 'current') return values[at];
    if (name === 'next') {
      return new Callable(name, () => {
        const value = elementAt(values, at);
        at = (at + 1) % values.length;
        return value;
      });
    }
    if (name !== 'reset') return undefined;
    return new Callable(name, () => {
      at = 0;
      return null;
    });
  };
  const refuse: Call = () => {
    throw new TemplateError("'Cycler' object is not callable");
  };
  return new Callable('cycler', refuse, fields);
}

/** Converts a caller's variables to template values. */
export const contextOf = (variables: Readonly<Record<string, unknown>>): ReadonlyMap<string, Value> =>
  new Map(Object.entries(variables).map(([name, value]) => [name, toValue(value)]));
