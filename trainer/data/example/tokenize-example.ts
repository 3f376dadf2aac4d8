/** Turns pieces of text into token ids with a flag for each target, cut to length so that trained tokens survive. */
import type { DataPlace } from '../data-error.ts';
import { DataError } from '../data-error.ts';
import type { FormattedExample, Piece, Target, TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import type { Encoder } from './encoder.ts';
import { safeCut } from './encoder.ts';

/**
 * The part that a sample loses if it is too long: the end or the middle of its flexible stretch; 'error' refuses the sample. With 'turns',
 * a chat ends after the last answer that fits; it loses the end of its first answer only if that answer does not fit and calls no tool.
 */
export type Truncation = 'turns' | 'end' | 'middle' | 'error';

export interface TokenizeSettings {
  readonly encoder: Encoder;
  /** Maximum length in tokens; longer samples are cut according to `truncation`. Infinity keeps sequences whole. */
  readonly maxLength: number;
  readonly truncation: Truncation;
  /** Appended to a trained text that no chat template ends, so that the model learns to stop. */
  readonly eosId?: number;
}

export type TokenizeResult =
  | {
      readonly kind: 'kept';
      readonly sequence: TokenSequence;
      readonly truncated: boolean;
      /** Remarks for the report, as in a formatted example. */
      readonly notes?: readonly string[];
    }
  | { readonly kind: 'dropped'; readonly reason: DropReason };

const ENDS_EARLIER = 'end after an earlier answer, because the next one does not fit into max_length';

/**
 * no_target: the sample has no trained token. cut_off: no trained token is left after cutting it to length. cut_image: it would end within
 * an image.
 */
export type DropReason = 'no_target' | 'cut_off' | 'cut_image';

/** Number of characters that are first encoded per required token of a long stretch; more are read if this gives too few tokens. */
const CHARACTERS_PER_TOKEN = 4;

/** Number of tokens near a cut that may differ from the tokens of the whole text. */
const EDGE_MARGIN = 16;

/** @throws DataError if the sample is longer than `maxLength` and must not be cut */
export function tokenizeExample(example: FormattedExample, settings: TokenizeSettings, place: DataPlace): TokenizeResult {
  const { encoder, maxLength, truncation } = settings;
  if (truncation === 'turns' && endsAtTurns(example)) return wholeTurns(example.pieces, settings);
  // Nothing is learned after the last target.
  const [prompt, ...others] = trainRuns(example.pieces.slice(0, example.pieces.findLastIndex(isTrained) + 1));
  if (prompt === undefined) return { kind: 'dropped', reason: 'no_target' };
  const rest: EncodedRun[] = others.map(run => encodeRun(run, { first: encoder.next, next: encoder.next }));
  const last = rest.at(-1);
  if (!example.chat && settings.eosId !== undefined && last?.train) last.ids.push(settings.eosId);
  const spare = maxLength - rest.reduce((sum, run) => sum + run.ids.length, 0);
  const encode: Encode = example.chat ? encoder.startPlain : encoder.start;
  const encodes = { first: encode, next: encoder.next };

  // Encode only the beginning of a long stretch if that already shows that the rest is cut away.
  const stretch = truncation === 'error' ? undefined : prompt.pieces.find(piece => piece.shrink)?.text;
  const start = stretch === undefined ? [] : firstTokens(stretch, maxLength + 1, encoder);
  const whole = start.length > maxLength ? undefined : encode(textOf(prompt.pieces));
  // If there is no other run, EOS ends this one, cut or not.
  const ending = last === undefined && !example.chat && settings.eosId !== undefined ? [settings.eosId] : [];
  whole?.push(...ending);
  if (whole !== undefined && whole.length <= spare) return result([withIds(prompt, whole, encodes), ...rest], false);
  if (whole !== undefined && truncation === 'error') throw tooLong(whole.length + maxLength - spare, maxLength, place);

  const shortened = stretch === undefined ? undefined : shortenPrompt(prompt.pieces, start, spare - ending.length, encode, settings);
  shortened?.push(...ending);
  const begin = shortened
    ? shortenedRun(prompt, shortened, ending.length, encoder)
    : withIds(prompt, whole ?? encode(textOf(prompt.pieces)), encodes);
  const runs = [begin, ...rest];
  if (!example.chat || truncation !== 'turns') return result(runs, true, maxLength);
  const end = lastAnswerEnd(runs, maxLength);
  if (end === undefined) return result(runs, true, runs.find(({ train }) => train)?.isCall ? 0 : maxLength);
  const made = result(runs, true, end);
  return made.kind === 'kept' && end < (lastAnswerEnd(runs) ?? end) ? { ...made, notes: [ENDS_EARLIER] } : made;
}

/** True if every token of a chat is trained and no part may be shortened. */
const endsAtTurns = ({ pieces, chat }: FormattedExample): boolean => chat && trainsAll(pieces) && !pieces.some(({ shrink }) => shrink);

const trainsAll = (pieces: readonly Piece[]): boolean => pieces.some(({ isAnswer }) => isAnswer);

/** The tokens of a chat whose tokens are all trained, cut after the last answer that fits. */
function wholeTurns(pieces: readonly Piece[], { encoder, maxLength }: TokenizeSettings): TokenizeResult {
  const { startPlain: first, next } = encoder;
  const madeOf = (count: number): EncodedRun => encodeRun({ train: true, pieces: pieces.slice(0, count) }, { first, next });
  const whole = madeOf(pieces.length);
  if (whole.ids.length <= maxLength) return result([whole], false);
  const ends = pieces.flatMap(({ isAnswer }, i) => (isAnswer ? [i + 1] : []));
  let found: EncodedRun | undefined;
  for (const [i, end] of ends.entries()) {
    const run = madeOf(end);
    if (run.ids.length > maxLength) break;
    found = run;
    if (i === ends.length - 1) return result([run], true);
  }
  if (!found) return result([whole], true, pieces.find(({ isAnswer }) => isAnswer)?.isCall ? 0 : maxLength);
  const made = result([found], true);
  return made.kind === 'kept' ? { ...made, notes: [ENDS_EARLIER] } : made;
}

/** The end of the last trained run, or trained turn, whose tokens all fit. */
function lastAnswerEnd(runs: readonly EncodedRun[], maxLength = Number.POSITIVE_INFINITY): number | undefined {
  let [at, found]: [number, number | undefined] = [0, undefined];
  for (const { train, ids, targets = [] } of runs) {
    for (const { to } of targets) if (at + to <= maxLength) found = at + to;
    at += ids.length;
    if (train && at <= maxLength) found = at;
  }
  return found;
}

interface Run {
  readonly train: boolean;
  readonly weight?: number | undefined;
  readonly pieces: readonly Piece[];
}

interface EncodedRun extends Partial<RunMarks> {
  readonly train: boolean;
  readonly weight?: number | undefined;
  readonly ids: number[];
  readonly isCall?: boolean;
}

/** Token positions within a run. */
interface RunMarks {
  /** Ranges of tokens that are not targets. */
  readonly context: readonly TokenRange[];
  /** The positions at which answers begin. */
  readonly answers: readonly number[];
  /** Stretches of an untrained run that are targets. */
  readonly targets: readonly Target[];
}

type TokenRange = readonly [from: number, to: number];
type Encode = (text: string) => number[];

/** The encoders for the beginning of a run and for the text after it. */
interface RunEncoder {
  readonly first: Encode;
  readonly next: Encode;
}

const encodeRun = (run: Run, encoder: RunEncoder): EncodedRun => withIds(run, encoder.first(textOf(run.pieces)), encoder);

const withIds = (run: Run, ids: number[], encoder: RunEncoder): EncodedRun => ({
  train: run.train,
  weight: run.weight,
  ids,
  isCall: isCall(run),
  ...marksOf(run.pieces, ids, encoder),
});

/**
 * A run whose flexible stretch was shortened, which moves the tokens after it.
 * @param added number of tokens at its end that belong to no piece
 */
function shortenedRun(run: Run, ids: number[], added: number, { next }: Encoder): EncodedRun {
  const behind = run.pieces.slice(run.pieces.findIndex(piece => piece.shrink) + 1);
  const own = behind.some(({ train }) => train) ? next(textOf(behind)) : [];
  const before = ids.length - added - own.length;
  const { context, answers } = marksOf(behind, own, { first: next, next });
  return {
    train: run.train,
    weight: run.weight,
    ids,
    isCall: isCall(run),
    context: context.map(([from, to]): TokenRange => [before + from, before + to]),
    answers: answers.map(at => before + at),
  };
}

/** The tokens of the marked stretches. A token with text of a context stretch and of a target after it is a target. */
function marksOf(pieces: readonly Piece[], ids: readonly number[], encoder: RunEncoder): RunMarks {
  const tokenAt = tokenFinder(textOf(pieces), ids, encoder);
  const context: TokenRange[] = [];
  const answers: number[] = [];
  const targets: Target[] = [];
  const isAnswer = trainsAll(pieces) ? (piece: Piece) => piece.isAnswer : (piece: Piece) => piece.train;
  let begin = 0;
  for (const piece of pieces) {
    if (isAnswer(piece)) answers.push(tokenAt(begin));
    for (const [from, to] of piece.context ?? []) context.push([tokenAt(begin + from), tokenAt(begin + to)]);
    for (const { from, to, weight } of piece.targets ?? []) targets.push({ from: tokenAt(begin + from), to: tokenAt(begin + to), weight });
    begin += piece.text.length;
  }
  return { context, answers, targets };
}

/**
 * Returns a function that finds the token that contains an offset of the text. Ascending offsets are found in one pass through the text.
 */
function tokenFinder(text: string, ids: readonly number[], { first, next }: RunEncoder): (place: number) => number {
  let known = { place: 0, token: 0 };
  return place => {
    if (place === known.place) return known.token;
    if (place === text.length) return ids.length;
    if (place > known.place) {
      const own = (known.place === 0 ? first : next)(text.slice(known.place, place));
      const count = sharedCount(own, ids, known.token);
      // If all these tokens agree, no token crosses the offset.
      if (count === own.length) {
        known = { place, token: known.token + count };
        return known.token;
      }
    }
    return sharedCount(first(text.slice(0, place)), ids);
  };
}

/** The length of the common prefix of two id lists. @param from start of the comparison in the other list */
function sharedCount(one: readonly number[], other: readonly number[], from = 0): number {
  const at = one.findIndex((id, i) => id !== other[from + i]);
  return at < 0 ? one.length : at;
}

const isTrained = ({ train, targets = [] }: Piece): boolean => train || targets.length > 0;

const isCall = ({ train, pieces }: Run): boolean => train && pieces.some(piece => piece.isCall);

/** Merges neighboring pieces with the same flag and weight, because each run is encoded as a whole. */
function trainRuns(pieces: readonly Piece[]): Run[] {
  const runs: { train: boolean; weight?: number | undefined; pieces: Piece[] }[] = [];
  for (const piece of pieces) {
    const last = runs.at(-1);
    if (last?.train === piece.train && last.weight === piece.weight) last.pieces.push(piece);
    else runs.push({ train: piece.train, weight: piece.weight, pieces: [piece] });
  }
  return runs;
}

/**
 * A prompt of at most `budget` tokens. The fixed text around the flexible stretch stays; the stretch, whose first tokens are given, loses
 * its end or its middle. Undefined if the fixed text alone is too long.
 */
function shortenPrompt(
  pieces: readonly Piece[],
  start: readonly number[],
  budget: number,
  encode: (text: string) => number[],
  { encoder, truncation }: TokenizeSettings,
): number[] | undefined {
  const at = pieces.findIndex(piece => piece.shrink);
  const head = encode(textOf(pieces.slice(0, at)));
  const tail = encoder.next(textOf(pieces.slice(at + 1)));
  const room = budget - head.length - tail.length;
  if (room < 0) return undefined;
  if (truncation !== 'middle') return [...head, ...start.slice(0, room), ...tail];
  const front = Math.ceil(room / 2);
  return [...head, ...start.slice(0, front), ...lastTokens(pieces[at]?.text ?? '', room - front, encoder), ...tail];
}

function textOf(pieces: readonly Piece[]): string {
  return pieces.map(piece => piece.text).join('');
}

/** The first `count` tokens of a text; encodes little more of the text than that. */
function firstTokens(text: string, count: number, encoder: Encoder): number[] {
  return edgeTokens(text, count, encoder, characters => text.slice(0, safeCut(text, characters))).slice(0, count);
}

function lastTokens(text: string, count: number, encoder: Encoder): number[] {
  const ids = edgeTokens(text, count, encoder, characters => text.slice(safeCut(text, text.length - characters)));
  return count === 0 ? [] : ids.slice(-count);
}

/** Reads on until there are clearly enough tokens: the last few may differ from the tokens of the whole text. */
function edgeTokens(text: string, count: number, encoder: Encoder, edge: (characters: number) => string): number[] {
  const needed = count + EDGE_MARGIN;
  for (let characters = needed * CHARACTERS_PER_TOKEN; characters < text.length; ) {
    const ids = encoder.next(edge(characters));
    if (ids.length >= needed) return ids;
    characters *= Math.min(4, 1.2 * (needed / Math.max(1, ids.length)));
    characters = Math.ceil(characters);
  }
  return encoder.next(text);
}

/** The sequence up to its last target, at most `maxLength` tokens. */
function result(runs: readonly EncodedRun[], truncated: boolean, maxLength = Number.POSITIVE_INFINITY): TokenizeResult {
  const ids = joined(runs);
  const train = new Uint8Array(ids.length);
  const isWeighed = ({ weight, targets = [] }: EncodedRun): boolean => weight !== undefined || targets.some(target => target.weight !== 1);
  const weights = runs.some(isWeighed) ? new Float32Array(ids.length).fill(1) : undefined;
  const begins: number[] = [];
  let start = 0;
  for (const run of runs) {
    const end = start + run.ids.length;
    if (run.train) train.fill(1, start, end);
    for (const [from, to] of run.context ?? []) train.fill(0, start + from, start + to);
    for (const at of run.answers ?? []) begins.push(start + at);
    weights?.fill(run.weight ?? 1, start, end);
    for (const { from, to, weight } of run.targets ?? []) {
      train.fill(1, start + from, start + to);
      weights?.fill(weight, start + from, start + to);
    }
    start = end;
  }
  const end = Math.min(maxLength, train.lastIndexOf(1) + 1);
  const answers = begins.filter(at => at > 0 && at < end);
  const sequence = {
    ids: ids.slice(0, end),
    train: train.slice(0, end),
    ...(weights && { weights: weights.slice(0, end) }),
    ...(answers.length > 0 && { answers }),
  };
  // The first token has no predecessor that could predict it.
  sequence.train[0] = 0;
  if (countTargets(sequence) > 0) return { kind: 'kept', sequence, truncated };
  return { kind: 'dropped', reason: truncated ? 'cut_off' : 'no_target' };
}

/** The ids of all runs. `Int32Array.from` of a list would take five times as long. */
function joined(runs: readonly EncodedRun[]): Int32Array {
  const all = new Int32Array(runs.reduce((sum, { ids }) => sum + ids.length, 0));
  let at = 0;
  for (const { ids } of runs) {
    all.set(ids, at);
    at += ids.length;
  }
  return all;
}

function tooLong(length: number, maxLength: number, place: DataPlace): DataError {
  return new DataError({
    ...place,
    problem: `the sample is ${length} tokens long, expected at most ${maxLength}`,
    advice: 'Raise max_length (up to the positions of the model), or allow samples to be cut',
  });
}
