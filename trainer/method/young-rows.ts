/** Young rows: trained rows that a second choice has added. */
import type { Attachment, Trainable } from './method.ts';

/** A second choice of rows: the update after which it was made, and the rows of each module that had been trained before. */
export interface SecondChoice {
  readonly step: number;
  readonly kept: Readonly<Record<string, readonly number[]>>;
}

/** Returns the attachment with marks on the rows that were not trained before. A trainable without such rows does not change. */
export function withYoung(attachment: Attachment, { kept }: SecondChoice): Attachment {
  return { ...attachment, trainables: attachment.trainables.map(trainable => ({ ...trainable, ...youngOf(trainable, kept) })) };
}

function youngOf({ rows }: Trainable, kept: SecondChoice['kept']): Pick<Trainable, 'young'> {
  if (!rows) return {};
  const before = new Set(kept[rows.variable.name.replace(/\.rows$/, '')]);
  const young = Float32Array.from(rows.indices, row => Number(!before.has(row)));
  return young.includes(1) ? { young } : {};
}

/** True if any of the trained rows was added. */
export const hasYoung = ({ trainables }: Pick<Attachment, 'trainables'>): boolean => trainables.some(({ young }) => young !== undefined);
