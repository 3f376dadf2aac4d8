/**
 * Evaluates users' regular expressions in linear time: JavaScript's syntax (flag u) without back-references and look-around, which need
 * backtracking. The structure is compiled to an automaton (Thompson's construction with memoized sets of states); character classes use the
 * language's own.
 */
import { messageOf } from '../error-facts.ts';

/** Thrown if the text is not a regular expression, or cannot be evaluated in linear time. */
export class PatternError extends Error {
  override name = 'PatternError';
}

const MAX_LENGTH = 1000;
const MAX_DEPTH = 50;
/** Maximum number of states: a counted repetition is expanded, so a few characters can require very many states. */
const MAX_STATES = 1000;
/** Maximum number of memoized sets of states; beyond this, all are dropped. */
const MAX_SETS = 2000;

type Assertion = 'start' | 'end' | 'word-edge' | 'no-word-edge';

type Part =
  | { readonly kind: 'one'; readonly matches: (character: string) => boolean }
  | { readonly kind: 'assert'; readonly what: Assertion }
  | { readonly kind: 'sequence'; readonly parts: readonly Part[] }
  | { readonly kind: 'choice'; readonly parts: readonly Part[] }
  | { readonly kind: 'repeat'; readonly part: Part; readonly least: number; readonly most: number };

type State =
  | { readonly kind: 'one'; readonly matches: (character: string) => boolean }
  | { readonly kind: 'assert'; readonly what: Assertion }
  /** `split` continues at the next state and at `to`, `jump` only at `to`. */
  | { readonly kind: 'split' | 'jump'; to: number }
  | { readonly kind: 'found' };

/** A set of active states between two characters, with what is known about the character before. */
interface Waiting {
  readonly states: readonly number[];
  readonly isStart: boolean;
  readonly afterWord: boolean;
  readonly next: Map<string, Waiting | 'found'>;
}

/** Stands for the end of the text. */
const END = '';
const isWord = (character: string): boolean => /^\w$/.test(character);

/**
 * Returns a function that tests whether the expression matches anywhere in a text.
 * @throws PatternError with the reason, a sentence without its subject: "is invalid: …"
 */
export function linearPattern(source: string): (text: string) => boolean {
  const part = new Parser(source).whole();
  try {
    new RegExp(source, 'u');
  } catch (error) {
    const reason = messageOf(error);
    throw new PatternError(`is invalid: ${reason.slice(reason.lastIndexOf(': ') + 2)}`);
  }
  return new Automaton(part).test;
}

/** Returns the reason why a user's regular expression is invalid, if it is. */
export function refusePattern(source: string): string | undefined {
  try {
    linearPattern(source);
    return undefined;
  } catch (error) {
    if (error instanceof PatternError) return `the pattern ${error.message}`;
    throw error;
  }
}

class Parser {
  private readonly source: string;
  private at = 0;
  private depth = 0;

  constructor(source: string) {
    this.source = source;
    if (source.length > MAX_LENGTH) throw new PatternError(`has ${source.length} characters; at most ${MAX_LENGTH} are read`);
  }

  whole(): Part {
    const part = this.choice();
    // `linearPattern` reports the rest: JavaScript's parser refuses it too.
    return this.at < this.source.length ? { kind: 'choice', parts: [] } : part;
  }

  private choice(): Part {
    const parts = [this.sequence()];
    while (this.take('|')) parts.push(this.sequence());
    return parts.length === 1 && parts[0] ? parts[0] : { kind: 'choice', parts };
  }

  private sequence(): Part {
    const parts: Part[] = [];
    while (this.at < this.source.length && !/[|)]/.test(this.source[this.at] ?? '')) parts.push(this.quantified(this.term()));
    return { kind: 'sequence', parts };
  }

  private term(): Part {
    if (this.take('^')) return { kind: 'assert', what: 'start' };
    if (this.take('$')) return { kind: 'assert', what: 'end' };
    if (this.take('\\b')) return { kind: 'assert', what: 'word-edge' };
    if (this.take('\\B')) return { kind: 'assert', what: 'no-word-edge' };
    return this.take('(') ? this.group() : this.one();
  }

  private group(): Part {
    if (/^\?<?[=!]/.test(this.source.slice(this.at, this.at + 3)))
      throw new PatternError('looks ahead or behind (?= ?! ?<= ?<!), which can take exponential time and is not supported');
    const [opening = ''] = /^\?(?:<[^>]*>|:)/.exec(this.source.slice(this.at)) ?? [];
    this.at += opening.length;
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new PatternError(`nests more than ${MAX_DEPTH} groups`);
    const inside = this.choice();
    this.depth -= 1;
    this.take(')');
    return inside;
  }

  private one(): Part {
    const source = this.character();
    const character = String.fromCodePoint(source.codePointAt(0) ?? 0);
    if (source === character && source !== '.') return { kind: 'one', matches: other => other === source };
    let pattern: RegExp | undefined;
    const matches = (other: string): boolean => {
      pattern ??= new RegExp(`^(?:${source})$`, 'u');
      return pattern.test(other);
    };
    return { kind: 'one', matches };
  }

  /** The source of a single-character pattern. */
  private character(): string {
    const rest = this.source.slice(this.at);
    if (/^\\(?:[1-9]|k<)/.test(rest))
      throw new PatternError('refers back to a group (\\1, \\k<name>), which can take exponential time and is not supported');
    const [found = ''] =
      /^(?:\[(?:[^\]\\]|\\.)*\]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u\{[0-9a-fA-F]+\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\c[a-zA-Z]|\\[pP]\{[^}]*\}|\\.|.)/su.exec(
        rest,
      ) ?? [];
    this.at += found.length;
    return found;
  }

  private quantified(part: Part): Part {
    const [written = '', least, comma, most] = /^(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})\??/.exec(this.source.slice(this.at)) ?? [];
    if (written === '') return part;
    this.at += written.length;
    if (least === undefined) return { kind: 'repeat', part, least: written[0] === '+' ? 1 : 0, most: written[0] === '?' ? 1 : Infinity };
    return { kind: 'repeat', part, least: Number(least), most: comma === undefined ? Number(least) : most ? Number(most) : Infinity };
  }

  private take(text: string): boolean {
    const isThere = this.source.startsWith(text, this.at);
    if (isThere) this.at += text.length;
    return isThere;
  }
}

class Automaton {
  private readonly states: State[] = [];
  private readonly sets = new Map<string, Waiting>();

  constructor(part: Part) {
    this.add(part);
    this.push({ kind: 'found' });
  }

  readonly test = (text: string): boolean => {
    let waiting = this.waiting([], '', true);
    for (const character of text) {
      const next = this.step(waiting, character);
      if (next === 'found') return true;
      waiting = next;
    }
    return this.step(waiting, END) === 'found';
  };

  private push<S extends State>(state: S): S {
    if (this.states.length >= MAX_STATES)
      throw new PatternError(`asks for more than ${MAX_STATES} states once its repetitions are written out`);
    this.states.push(state);
    return state;
  }

  private add(part: Part): void {
    if (part.kind === 'one' || part.kind === 'assert') this.push(part);
    else if (part.kind === 'sequence') for (const each of part.parts) this.add(each);
    else if (part.kind === 'choice') this.addChoice(part.parts);
    else this.addRepeat(part.part, part.least, part.most);
  }

  private addChoice(parts: readonly Part[]): void {
    const ends: { to: number }[] = [];
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1;
      const split = isLast ? undefined : this.jump('split');
      this.add(part);
      if (!isLast) ends.push(this.jump('jump'));
      if (split) split.to = this.states.length;
    }
    for (const end of ends) end.to = this.states.length;
  }

  private addRepeat(part: Part, least: number, most: number): void {
    for (let i = 0; i < least; i++) {
      const before = this.states.length;
      this.add(part);
      // Repeating an item without states changes nothing.
      if (this.states.length === before) return;
    }
    if (most === Infinity) {
      const start = this.states.length;
      const split = this.jump('split');
      this.add(part);
      this.jump('jump').to = start;
      split.to = this.states.length;
      return;
    }
    const splits: { to: number }[] = [];
    for (let i = least; i < most; i++) {
      splits.push(this.jump('split'));
      this.add(part);
    }
    for (const split of splits) split.to = this.states.length;
  }

  private jump(kind: 'split' | 'jump'): { to: number } {
    return this.push({ kind, to: 0 });
  }

  /** The active states after `character`. */
  private step(waiting: Waiting, character: string): Waiting | 'found' {
    const known = waiting.next.get(character);
    if (known !== undefined) return known;
    const reached = this.reach(waiting, character);
    const next =
      reached === 'found'
        ? reached
        : this.waiting(
            reached.filter(at => this.matches(at, character)).map(at => at + 1),
            character,
            false,
          );
    waiting.next.set(character, next);
    return next;
  }

  private matches(at: number, character: string): boolean {
    const state = this.states[at];
    return character !== END && state?.kind === 'one' && state.matches(character);
  }

  /** The states that can consume the next character, including those of a new match, which may begin anywhere. */
  private reach({ states, isStart, afterWord }: Waiting, character: string): readonly number[] | 'found' {
    const seen = new Set<number>();
    const open = [0, ...states];
    const isEdge = afterWord !== isWord(character);
    const holds: Readonly<Record<Assertion, boolean>> = {
      start: isStart,
      end: character === END,
      'word-edge': isEdge,
      'no-word-edge': !isEdge,
    };
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const state = this.states[at];
      if (state === undefined || seen.has(at)) continue;
      seen.add(at);
      if (state.kind === 'found') return 'found';
      if (state.kind === 'split' || state.kind === 'jump') open.push(state.to);
      if (state.kind === 'split' || (state.kind === 'assert' && holds[state.what])) open.push(at + 1);
    }
    return [...seen];
  }

  private waiting(states: readonly number[], before: string, isStart: boolean): Waiting {
    const afterWord = isWord(before);
    const sorted = [...states].sort((a, b) => a - b);
    const key = `${isStart} ${afterWord} ${sorted}`;
    const known = this.sets.get(key);
    if (known !== undefined) return known;
    if (this.sets.size >= MAX_SETS) {
      for (const set of this.sets.values()) set.next.clear();
      this.sets.clear();
    }
    const made: Waiting = { states: sorted, isStart, afterWord, next: new Map() };
    this.sets.set(key, made);
    return made;
  }
}
