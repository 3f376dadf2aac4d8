/** Classifies a text: the probability of each label, from a model with one label or several labels for a text. */
import { createSegmentEncoder } from '../data/example/segment-encoder.ts';
import { inputOf } from '../model/model-spec.ts';
import { percent, table } from '../protocol/text/format.ts';
import { sigmoid } from '../train/metrics.ts';
import { checkKnown } from './decoder.ts';
import { type TextLogitsParams, withTextLogits } from './text-logits.ts';

export interface TextLabel {
  readonly label: string;
  readonly probability: number;
}

export interface ClassifiedText {
  /** All labels, the most likely first. */
  readonly labels: readonly TextLabel[];
  /** Number of tokens that the model read. */
  readonly tokens: number;
  /** True if the text is longer than that. */
  readonly isCut: boolean;
}

/** Maximum tokens of a text, so that the program stays small. */
const MAX_TOKENS = 2048;

/** Lines of probabilities and labels. */
export const labelLines = (labels: readonly TextLabel[]): string =>
  table(labels.map(({ label, probability }) => [percent(probability), label]));

/** Loads a model that classifies texts, classifies the text and releases it. @throws AdapterError if the adapter does not fit */
export async function classifyText(text: string, params: Omit<TextLogitsParams, 'tokens'>): Promise<ClassifiedText> {
  const { model, folder } = params;
  const input = inputOf(model, 'tokens');
  const longest = Math.min(input.maxPositions, MAX_TOKENS);
  const { ids, truncated } = createSegmentEncoder(await folder.loadTokenizer()).encode(text, undefined, longest);
  checkKnown(ids, input);
  const logits = await withTextLogits({ ...params, tokens: ids.length }, logitsOf => logitsOf(ids));
  const scores = Array.from({ length: model.labels.length }, (_, label) => logits?.[label] ?? Number.NaN);
  const probabilities = model.problem === 'multi_label' ? scores.map(sigmoid) : softmax(scores);
  const labels = model.labels.map((label, i) => ({ label, probability: probabilities[i] ?? Number.NaN }));
  return { labels: labels.sort((a, b) => b.probability - a.probability), tokens: ids.length, isCut: truncated };
}

function softmax(scores: readonly number[]): number[] {
  const top = Math.max(...scores);
  const powers = scores.map(score => Math.exp(score - top));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map(power => power / sum);
}
