/** When the base model computes its log-probabilities for a loss that compares with it (`preference.reference`). */

interface ReferenceEntry {
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /** Whether the base runs on each batch right before the batch is trained on; otherwise, on all answers before the first update. */
  readonly whileTraining: boolean;
}

const entries = {
  cached: {
    summary: 'Compute the log-probabilities of all answers once, before the first update, and keep them in a cache.',
    whileTraining: false,
  },
  live: {
    summary: 'Compute those of a batch right before it is trained on, from the base that the run holds: training starts at once.',
    whileTraining: true,
  },
} as const satisfies Readonly<Record<string, ReferenceEntry>>;

export type ReferenceName = keyof typeof entries;

export const referenceCatalog: Readonly<Record<ReferenceName, ReferenceEntry>> = entries;
