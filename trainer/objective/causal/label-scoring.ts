/** How the answer of a language model to a labeled sample is read off: which label it would write. */
import type { LabelCompletion } from '../../data/load/load-dataset.ts';
import type { Example, TokenSequence } from '../../data/types.ts';

/**
 * begin: the labels share `offset` tokens and differ in the next, so its logits alone say what greedy decoding among the labels
 * writes; one pass. each: each label is put in place and the likeliest one wins; a pass a label.
 */
export type LabelScoring =
  | { readonly kind: 'begin'; readonly labels: readonly LabelCompletion[]; readonly offset: number; readonly tokens: readonly number[] }
  | { readonly kind: 'each'; readonly labels: readonly LabelCompletion[] };

/** Undefined for fewer than two labels: there is nothing to tell apart. */
export function chooseScoring(labels: readonly LabelCompletion[]): LabelScoring | undefined {
  const [first, ...others] = labels;
  if (!first || others.length === 0) return undefined;
  let offset = 0;
  while (offset < first.ids.length && others.every(({ ids }) => ids[offset] === first.ids[offset])) offset++;
  const tokens = labels.map(({ ids }) => ids[offset]);
  const known = tokens.filter(token => token !== undefined);
  return new Set(known).size === labels.length ? { kind: 'begin', labels, offset, tokens: known } : { kind: 'each', labels };
}

/** The start of a sample's label: the last position of its ids; −1 if they were truncated. */
export function labelStart({ ids }: TokenSequence, label: LabelCompletion): number {
  for (let start = ids.length - label.ids.length; start > 0; start--) {
    if (label.ids.every((id, i) => ids[start + i] === id)) return start;
  }
  return -1;
}

/** A sample with a label in place of its own, and what came after that; only these are targets. At most `maxLength` long, cut at its start. */
export function withLabel(example: Example, own: LabelCompletion, start: number, label: LabelCompletion, maxLength: number): TokenSequence {
  const tail = example.ids.subarray(start + own.ids.length);
  const whole = Int32Array.from([...example.ids.subarray(0, start), ...label.ids, ...tail]);
  const cut = Math.max(0, whole.length - maxLength);
  const train = new Uint8Array(whole.length - cut).fill(1, Math.max(1, start - cut));
  return { ids: whole.subarray(cut), train };
}
