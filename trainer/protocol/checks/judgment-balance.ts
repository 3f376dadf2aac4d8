/** Checks the numbers of good and bad answers. */
import type { Recipe } from '../recipe/recipe-schema.ts';

/** A problem with these numbers, with the linter's code for it. */
interface Imbalance {
  readonly code: 'one-judgment' | 'unbalanced-judgments';
  readonly problem: string;
  readonly advice: string;
}

/** The range that the authors of KTO advise for the ratio of the weighted numbers (Ethayarajh et al. 2024, equation 8). */
const ADVISED = { from: 1, to: 4 / 3 };

/** Tolerance for weights that were rounded by hand. */
const TOLERANCE = 0.01;

/** Describes the imbalance; undefined if weight · number of good answers is 1 to 4/3 times that of bad answers. */
export function describeImbalance(
  { desirable = 0, undesirable = 0 }: Readonly<Partial<Record<'desirable' | 'undesirable', number>>>,
  { desirable_weight: good, undesirable_weight: bad }: Pick<Recipe['preference'], 'desirable_weight' | 'undesirable_weight'>,
): Imbalance | undefined {
  if (desirable === 0 || undesirable === 0)
    return {
      code: 'one-judgment',
      problem: `all ${desirable + undesirable} answers are ${undesirable === 0 ? 'desirable' : 'undesirable'}`,
      advice:
        'Add answers of the other kind: the margin between both cannot be measured, and the model may only become more or less likely to answer',
    };
  const ratio = (good * desirable) / (bad * undesirable);
  if (ratio >= ADVISED.from - TOLERANCE && ratio <= ADVISED.to + TOLERANCE) return undefined;
  // Suggest a higher weight for the rarer kind, in the middle of the range.
  const isFewGood = desirable < undesirable;
  const middle = (ADVISED.from + ADVISED.to) / 2;
  const name = isFewGood ? 'desirable_weight' : 'undesirable_weight';
  const weight = isFewGood ? (middle * bad * undesirable) / desirable : (good * desirable) / (middle * undesirable);
  return {
    code: 'unbalanced-judgments',
    problem: `there are ${desirable} desirable and ${undesirable} undesirable answers, so by the weights they count ${rounded(ratio)} to 1`,
    advice: `Between 1 to 1 and 4 to 3 is advised: set preference.${name}: ${rounded(weight)}`,
  };
}

const rounded = (value: number): string => String(Number(value.toPrecision(3)));
