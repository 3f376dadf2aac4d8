/** Warns if scores by quantiles over classes are unreliable; the linter and the trainer share this check. */

/** Eleven quantiles of fewer classes are interpolations between them; GLUE has two or three, where the paper advises against it. */
const FEW_CLASSES = 10;
/**
 * Caltech-101, which the paper advises against, has 25 times as many samples of its largest class as of its smallest.
 */
const UNBALANCED = 5;

/**
 * @param counts samples of each label
 * @returns a sentence, or nothing where there is no reason to warn
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
