/** Weights of labels against imbalance. */

/**
 * One label of several: samples / (labels · samples of the label), as `class_weight='balanced'` of scikit-learn, so that all labels weigh
 * alike in total. Any number of labels: samples without the label per sample with it, as `pos_weight` of PyTorch's documentation. A label
 * without samples weighs 1.
 * @param counts samples of each label @param samples all samples, where each may have any number of labels
 */
export function classWeightsOf(counts: readonly number[], samples?: number): number[] {
  if (samples !== undefined) return counts.map(count => (count === 0 || count === samples ? 1 : (samples - count) / count));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const met = counts.filter(count => count > 0).length;
  return counts.map(count => (count === 0 ? 1 : total / (met * count)));
}
