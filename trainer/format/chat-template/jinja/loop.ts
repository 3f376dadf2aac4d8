/** The variable `loop` inside a `{% for %}`. */
import { elementAt } from '../../../narrow.ts';
import { equal } from './operators.ts';
import { TemplateError } from './template-error.ts';
import { Callable, orElse, Undefined, type Value } from './values.ts';

export interface LoopState {
  readonly items: readonly Value[];
  readonly depth: number;
  /** Runs the loop again over other items, if the loop is recursive. */
  readonly again: ((items: Value) => string) | undefined;
  index: number;
  changed: readonly Value[] | undefined;
}

export function loopValue(state: LoopState): Callable {
  const fields = (name: string): Value | undefined => {
    const { items, index, depth } = state;
    switch (name) {
      case 'index':
        return BigInt(index + 1);
      case 'index0':
        return BigInt(index);
      case 'revindex':
        return BigInt(items.length - index);
      case 'revindex0':
        return BigInt(items.length - index - 1);
      case 'first':
        return index === 0;
      case 'last':
        return index === items.length - 1;
      case 'length':
        return BigInt(items.length);
      case 'depth':
        return BigInt(depth + 1);
      case 'depth0':
        return BigInt(depth);
      case 'previtem':
        return index === 0 ? new Undefined('there is no previous item') : items[index - 1];
      case 'nextitem':
        return orElse(items[index + 1], () => new Undefined('there is no next item'));
      case 'cycle':
        return new Callable('cycle', args => {
          if (args.length === 0) throw new TemplateError('no items for cycling given');
          return elementAt(args, index % args.length);
        });
      case 'changed':
        return new Callable('changed', args => {
          const before = state.changed;
          state.changed = args;
          return before === undefined || !equal(before, args);
        });
      default:
        return undefined;
    }
  };
  const call = (args: readonly Value[]): Value => {
    if (state.again === undefined) throw new TemplateError('the loop is not recursive: write {% for … recursive %}');
    return state.again(orElse(args[0], () => new Undefined('the items')));
  };
  return new Callable('loop', call, fields, `<LoopContext ${state.index + 1}/${state.items.length}>`);
}
