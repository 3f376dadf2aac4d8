/** Describes the comparisons of an export in sentences, for a log and a model card. */
import type { CrossCheck, Form } from './artifact.ts';
import type { Difference } from './smoke-test.ts';

/** Results of the comparisons of an export. */
export interface ExportComparison {
  /** The largest change of the tuned model's logits from rounding all weights, for a format that does so. */
  readonly roundingDifference?: number;
  /** Number of tokens in the prompt after which rounding changes the most likely next token; undefined for models of other outputs. */
  readonly changedTokens?: number;
  /** The comparison with another program, or why it was skipped. */
  readonly crossCheck?: CrossCheck | { readonly missing: string };
}

export interface Verified extends Difference, ExportComparison {}

/** Sentences about everything that was compared; the last one is about another program, if one was used. */
export function verifiedLines(
  { largest, tolerance, crossCheck, roundingDifference: moved, changedTokens: changed }: Verified,
  { isRounded, finer, isCoarse = false }: Pick<Form, 'isRounded' | 'finer' | 'isCoarse'>,
  promptTokens: number,
): string[] {
  const advises = changed !== undefined && changed > 0 && (isCoarse || changed > MAX_CHANGED * promptTokens);
  const tuned = `the tuned model${isRounded ? ' with rounded weights' : ''}`;
  return [
    `Opened again, the export ${largest === 0 ? `gives exactly the logits of ${tuned}` : `differs from ${tuned} by at most ${largest.toExponential(2)} in a logit (tolerance ${tolerance.toExponential(2)})`}.`,
    ...(moved === undefined
      ? []
      : [`${roundingLine(moved, changed, promptTokens)}${advises && finer !== undefined ? finerAdvice(finer) : '.'}`]),
    ...(crossCheck === undefined ? [] : [crossCheckLine(crossCheck)]),
  ];
}

/**
 * The share of tokens that 8 bits and more may change without advice: after the prompt of the check, two tokens are often about as likely, and a
 * larger file would not be a better model.
 */
const MAX_CHANGED = 0.1;

const roundingLine = (moved: number, changed: number | undefined, tokens: number): string =>
  changed === undefined
    ? `Rounding the weights moves an output by at most ${moved.toPrecision(3)}`
    : `Rounding the weights moves a logit by at most ${moved.toPrecision(3)}, and changes the most likely next token after ${changed} of ${tokens} tokens of the prompt`;

const finerAdvice = (finer: string): string => `: --type ${finer} keeps more of what was trained.`;

function crossCheckLine(crossCheck: NonNullable<Verified['crossCheck']>): string {
  if ('missing' in crossCheck) return `The export was not verified in another program: ${crossCheck.missing}.`;
  const { program, largestDifference, tolerance } = crossCheck;
  if ('inputs' in crossCheck)
    return `${program} gives the same answers for ${crossCheck.inputs.join(', ')}; a number differs by at most ${largestDifference.toExponential(2)} (tolerance ${tolerance.toExponential(2)}).`;
  const { tokens, sameTokens, otherExperts = 0 } = crossCheck;
  const same = sameTokens === tokens ? `all ${tokens} tokens` : `${sameTokens} of ${tokens} tokens (the others are as likely as ours)`;
  return `${program} gives the same next token after ${same}; a logit differs by at most ${largestDifference.toPrecision(3)} (tolerance ${tolerance.toPrecision(3)}).${otherExperts > 0 ? ` ${otherExperts} tokens are left out: rounding sends them to other experts there.` : ''}`;
}
