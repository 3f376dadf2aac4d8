/** How to find the label that a language model would write for a labeled sample. */
import type { LabelCompletion } from '../../data/load/load-dataset.ts';
import type { Example, TokenSequence } from '../../data/types.ts';

/**
 * begin: the labels share `offset` tokens and differ in the next one, so a single pass is enough: its logits show which label greedy
 * decoding among the labels would write. each: each label is inserted in turn and the most likely one wins, with one pass per label.
 */
export type LabelScoring =
  | { readonly kind: 'begin'; readonly labels: readonly LabelCompletion[]; readonly offset: number; readonly tokens: readonly number[] }
  | { readonly kind: 'each'; readonly labels: readonly LabelCompletion[] };

/** Returns how to score labels; undefined for fewer than two, where there is nothing to compare. */
export function chooseScoring(labels: readonly LabelCompletion[]): LabelScoring | undefined {
  const [first, ...others] = labels;
  if (!first || others.length === 0) return undefined;
  let offset = 0;
  while (offset < first.ids.length && others.every(({ ids }) => ids[offset] === first.ids[offset])) offset++;
  const tokens = labels.map(({ ids }) => ids[offset]);
  const known = tokens.filter(token => token !== undefined);
  return new Set(known).size === labels.length ? { kind: 'begin', labels, offset, tokens: known } : { kind: 'each', labels };
}

/** The position of a sample's label: the last occurrence of its ids; −1 if they were truncated. */
export function labelStart({ ids }: TokenSequence, label: LabelCompletion): number {
  for (let start = ids.length - label.ids.length; start > 0; start--) {
    if (label.ids.every((id, i) => ids[start + i] === id)) return start;
  }
  return -1;
}

/**
 * A sample with another label inserted in place of its own; the targets are that label and what follows. It has at most `maxLength` tokens
 * and is cut at its start.
 */
export function withLabel(example: Example, own: LabelCompletion, start: number, label: LabelCompletion, maxLength: number): TokenSequence {
  const tail = example.ids.subarray(start + own.ids.length);
  const whole = Int32Array.from([...example.ids.subarray(0, start), ...label.ids, ...tail]);
  const cut = Math.max(0, whole.length - maxLength);
  const train = new Uint8Array(whole.length - cut).fill(1, Math.max(1, start - cut));
  return { ids: whole.subarray(cut), train, ...(example.images && { images: example.images }) };
}
