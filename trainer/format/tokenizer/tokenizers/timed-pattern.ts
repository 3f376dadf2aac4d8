/** A regular expression of tokenizer.json with a time limit: a search that exceeds it throws an error. */
import vm from 'node:vm';
import { codeOf } from '../../../protocol/error-facts.ts';
import { TextLimitError } from './component-limits.ts';

/** Time limit; published patterns split megabytes of text in less than a second. */
const LONGEST_SEARCH_MS = 30_000;
/**
 * Shorter texts are searched without a timer, unless the pattern may take exponential time. The timer costs about as much as 200 tokens.
 */
const UNTIMED_CHARACTERS = 4096;
const MATCHES_AT_A_TIME = 1000;

const slot = { run: (): void => undefined };
let timed: { readonly context: vm.Context; readonly script: vm.Script } | undefined;

/** Runs synchronous code, which V8 terminates if it takes too long. @throws Error with the code ERR_SCRIPT_EXECUTION_TIMEOUT */
function within(timeoutMs: number, run: () => void): void {
  timed ??= { context: vm.createContext(slot), script: new vm.Script('run()') };
  slot.run = run;
  timed.script.runInContext(timed.context, { timeout: timeoutMs });
}

/** Matches like a plain expression, with a time limit. */
export class TimedPattern extends RegExp {
  private readonly plain: RegExp;
  private readonly written: string;
  private readonly isSuspect: boolean;
  private readonly mostMs: number;

  /** @param written the pattern as in the file @param isSuspect whether it may take exponential time */
  constructor(source: string, written: string, isSuspect: boolean, mostMs = LONGEST_SEARCH_MS) {
    super(source, 'gv');
    this.plain = new RegExp(source, 'gv');
    this.written = written;
    this.isSuspect = isSuspect;
    this.mostMs = mostMs;
  }

  override [Symbol.match](text: string): RegExpMatchArray | null {
    return this.search(text, null, () => text.match(this.plain));
  }

  override [Symbol.replace](text: string, replacement: string | ((match: string, ...rest: unknown[]) => string)): string {
    return this.search(text, text, () =>
      typeof replacement === 'string' ? text.replace(this.plain, replacement) : text.replace(this.plain, replacement),
    );
  }

  /** Finds a few matches at a time, so that the caller may stop early. */
  override *[Symbol.matchAll](text: string): RegExpStringIterator<RegExpExecArray> {
    const matches = text.matchAll(this.plain);
    const few = (): RegExpExecArray[] => {
      const found: RegExpExecArray[] = [];
      while (found.length < MATCHES_AT_A_TIME) {
        const { value, done } = matches.next();
        if (done) break;
        found.push(value);
      }
      return found;
    };
    for (;;) {
      const found = this.search(text, [], few);
      if (found.length === 0) return;
      yield* found;
    }
  }

  private search<T>(text: string, none: T, find: () => T): T {
    if (!this.isSuspect && text.length <= UNTIMED_CHARACTERS) return find();
    let result = none;
    try {
      within(this.mostMs, () => {
        result = find();
      });
      return result;
    } catch (error) {
      if (codeOf(error) !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      const pattern = this.written.length > 80 ? `${this.written.slice(0, 80)}…` : this.written;
      throw new TextLimitError(
        `its pattern ${pattern} takes more than ${this.mostMs / 1000} seconds to search a text of ${text.length} characters`,
      );
    }
  }
}
