/** Warns if scores by quantiles over classes are unreliable; the linter and the trainer share this check. */

/**
 * The paper advises against quantiles with few classes: eleven quantiles of fewer classes are interpolations; GLUE has two or three
 * classes.
 */
const FEW_CLASSES = 10;
/**
 * The ratio of the largest to the smallest class above which the warning appears. The paper advises against Caltech-101, whose ratio is 25.
 */
const UNBALANCED = 5;

/**
 * Checks the class counts.
 * @param counts number of samples of each label
 * @returns a sentence, or undefined if there is no reason to warn
 */
export function classBalanceProblem(counts: Readonly<Record<string, number>>): string | undefined {
  const present = Object.entries(counts).filter(([, count]) => count > 0);
  if (present.length < FEW_CLASSES)
    return `qm_taylor takes quantiles over classes, which are unreliable for ${present.length} ${present.length === 1 ? 'label' : 'labels'}; use taylor or taylor_row for few labels`;
  const sorted = present.sort(([, a], [, b]) => a - b);
  const [[rarest, fewest] = ['', 0]] = sorted;
  const [commonest, most] = sorted.at(-1) ?? ['', 0];
  return most >= UNBALANCED * fewest
    ? `qm_taylor gives every label the same weight, but '${commonest}' has ${most} samples and '${rarest}' has ${fewest}; use taylor or taylor_row for unbalanced labels`
    : undefined;
}
