/** Label weights that compensate for imbalance. */

/**
 * With one label per sample: samples / (labels · samples of the label), like scikit-learn's `class_weight='balanced'`, so that all labels
 * have the same total weight. With any number of labels: the ratio of samples without the label to samples with it, like `pos_weight` in
 * PyTorch's documentation. A label without samples gets weight 1.
 * @param counts samples of each label @param samples number of all samples, if each may have any number of labels
 */
export function classWeightsOf(counts: readonly number[], samples?: number): number[] {
  if (samples !== undefined) return counts.map(count => (count === 0 || count === samples ? 1 : (samples - count) / count));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const met = counts.filter(count => count > 0).length;
  return counts.map(count => (count === 0 ? 1 : total / (met * count)));
}
