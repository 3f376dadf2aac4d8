/** Shows a sequence as the model sees it, with the text that was cut off in its original place. */
import type { ShownSequence, ShownSide, ShownToken, TokenRun, TokenUse } from '../../protocol/view/data.ts';
import type { TextTokenizer } from '../types.ts';
import { tokenTexts } from './token-texts.ts';

/** Maximum number of tokens to show; a longer sequence shows its beginning. A page holds twenty sequences. */
const MAX_SHOWN = 4000;

/** Number of cut tokens to show: enough to see what is lost. */
export const MORE_TOKENS = 1000;

export interface SequenceToShow {
  /** The ids exactly as training feeds them. */
  readonly ids: ArrayLike<number>;
  /** True if token i is a target. */
  readonly trains: (index: number) => boolean;
  /** The weight of target i in the loss; if left out, all weigh 1. */
  readonly weights?: ArrayLike<number> | undefined;
  /** Parts of the ids that may have lost their end or middle: the length that was kept, and all tokens of the part. */
  readonly whole?: readonly { readonly kept: number; readonly ids: ArrayLike<number> }[];
  /** Whether `whole` ends before the sample does. */
  readonly cutsMore?: boolean;
  /** Returns the label of the word that begins at token i. */
  readonly tag?: (index: number) => string | undefined;
  readonly side?: ShownSide;
}

interface Stretch {
  readonly use: TokenUse;
  readonly weight?: number | undefined;
  readonly ids: readonly number[];
  /** Index of its first token in the sequence; −1 for a stretch that was cut off. */
  readonly at: number;
}

export function shownSequence(sequence: SequenceToShow, tokenizer: Pick<TextTokenizer, 'decode'>): ShownSequence {
  const { ids, trains, tag, side, cutsMore } = sequence;
  const stretches = stretchesOf(sequence);
  const runs: TokenRun[] = [];
  let [room, hidden] = [MAX_SHOWN, 0];
  for (const { use, weight, ids: own, at } of stretches) {
    const shown = own.slice(0, room);
    room -= shown.length;
    hidden += own.length - shown.length;
    if (shown.length === 0) continue;
    const tokens = tokenTexts(shown, tokenizer);
    runs.push({ use, ...(weight !== undefined && { weight }), tokens: at < 0 || !tag ? tokens : tagged(tokens, at, tag) });
  }
  return {
    ...(side && { side }),
    length: ids.length,
    targets: Array.from(ids, (_, index) => Number(trains(index))).reduce((sum, one) => sum + one, 0),
    cut: stretches.reduce((sum, { use, ids: own }) => sum + (use === 'cut' ? own.length : 0), 0),
    ...(cutsMore && { cutsMore }),
    runs,
    hidden,
  };
}

function tagged(tokens: readonly ShownToken[], at: number, tag: (index: number) => string | undefined): ShownToken[] {
  let place = at;
  return tokens.map(token => {
    const own = tag(place);
    place += token.ids.length;
    return own === undefined ? token : { ...token, tag: own };
  });
}

/** Splits a sequence into stretches of the same use and weight; a stretch that was cut off is in its original place. */
function stretchesOf({ ids, trains, weights, whole = [] }: SequenceToShow): Stretch[] {
  const cuts = new Map<number, readonly number[]>();
  let start = 0;
  for (const part of whole) {
    const cut = lostPart(Array.prototype.slice.call(ids, start, start + part.kept), part.ids);
    if (cut.ids.length > 0) cuts.set(start + cut.at, cut.ids);
    start += part.kept;
  }
  const stretches: Stretch[] = [];
  let open: { use: TokenUse; weight: number | undefined; ids: number[]; at: number } | undefined;
  for (let index = 0; index <= ids.length; index++) {
    const cut = cuts.get(index);
    if (cut) {
      open = undefined;
      stretches.push({ use: 'cut', ids: cut, at: -1 });
    }
    const id = ids[index];
    if (id === undefined) break;
    const use = trains(index) ? 'trained' : 'context';
    const weight = use === 'trained' && weights?.[index] !== 1 ? weights?.[index] : undefined;
    if (open?.use !== use || open.weight !== weight) {
      open = { use, weight, ids: [], at: index };
      stretches.push(open);
    }
    open.ids.push(id);
  }
  return stretches;
}

/** The tokens that a part has lost, and their index in it: after the common prefix. */
function lostPart(kept: readonly number[], whole: ArrayLike<number>): { readonly at: number; readonly ids: readonly number[] } {
  const lost = whole.length - kept.length;
  let at = 0;
  while (at < kept.length && kept[at] === whole[at]) at++;
  return { at, ids: lost <= 0 ? [] : Array.prototype.slice.call(whole, at, at + lost) };
}
