/** Rows that a second choice has added: which of the trained ones they are. */
import type { Attachment, Trainable } from './method.ts';

/** A second choice of rows: the update after which it was made, and the rows of each module that had been trained before. */
export interface SecondChoice {
  readonly step: number;
  readonly kept: Readonly<Record<string, readonly number[]>>;
}

/** The attachment with the rows marked that were not trained before. A trainable whose rows all were is as it is. */
export function withYoung(attachment: Attachment, { kept }: SecondChoice): Attachment {
  return { ...attachment, trainables: attachment.trainables.map(trainable => ({ ...trainable, ...youngOf(trainable, kept) })) };
}

function youngOf({ rows }: Trainable, kept: SecondChoice['kept']): Pick<Trainable, 'young'> {
  if (!rows) return {};
  const before = new Set(kept[rows.variable.name.replace(/\.rows$/, '')]);
  const young = Float32Array.from(rows.indices, row => Number(!before.has(row)));
  return young.includes(1) ? { young } : {};
}

/** Whether any row of these was added. */
export const hasYoung = ({ trainables }: Pick<Attachment, 'trainables'>): boolean => trainables.some(({ young }) => young !== undefined);
