/** Describes a fault: the kinds of file operations, and the ways in which each can fail. */

import { isRecord } from '../../trainer/narrow.ts';

export const FAULT_KINDS = ['open', 'read', 'write', 'sync', 'rename', 'remove', 'make', 'list'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/**
 * error: the system refuses. short: half is done, and the rest is refused or left to the caller. kill: the process is killed during the
 * operation. kill-after: right after it.
 */
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
  /** Absolute real paths; operations elsewhere are not counted. */
  readonly folders: readonly string[];
  /** Index of the operation that fails, from 0. Without it, none fails and all are listed. */
  readonly at?: number;
  readonly mode?: FaultMode;
  /** The file that lists the operations, one JSON object per line; in a run with a fault, only that operation. */
  readonly report: string;
}

/** Returns true if a value is a plan. Only code in this folder writes plans, so this check is brief. */
export const isFaultPlan = (value: unknown): value is FaultPlan =>
  isRecord(value) && Array.isArray(value.folders) && typeof value.report === 'string';

export interface FaultOperation {
  readonly index: number;
  readonly kind: FaultKind;
  readonly call: string;
  readonly path: string;
}
