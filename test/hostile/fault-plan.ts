/** A fault: the kinds of file operations, and the ways in which each can fail. */

import { isRecord } from '../../trainer/narrow.ts';

export const FAULT_KINDS = ['open', 'read', 'write', 'sync', 'rename', 'remove', 'make', 'list'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** error: the system refuses. short: half is done, then the rest refused or left to the caller. kill: the process ends in the middle of it, or right after it. */
export type FaultMode = 'error' | 'short' | 'kill' | 'kill-after';

export const FAULT_MODES: Readonly<Record<FaultKind, readonly FaultMode[]>> = {
  open: ['error', 'kill'],
  read: ['error', 'short'],
  write: ['error', 'short', 'kill'],
  sync: ['error', 'kill'],
  rename: ['error', 'kill', 'kill-after'],
  remove: ['error', 'kill', 'kill-after'],
  make: ['error', 'kill'],
  list: ['error'],
};

export interface FaultPlan {
  /** Absolute, with real paths; operations elsewhere are not counted. */
  readonly folders: readonly string[];
  /** The number of the operation that fails, counted from 0. Without it none fails, and all are listed. */
  readonly at?: number;
  readonly mode?: FaultMode;
  /** The file that lists the operations, one JSON object a line; in a run with a fault, that operation alone. */
  readonly report: string;
}

/** Returns whether JSON is a plan: both of its ends are of this folder. */
export const isFaultPlan = (value: unknown): value is FaultPlan =>
  isRecord(value) && Array.isArray(value.folders) && typeof value.report === 'string';

export interface FaultOperation {
  readonly index: number;
  readonly kind: FaultKind;
  readonly call: string;
  readonly path: string;
}
