/** The codes of problems in the configs of a model folder. Each has a section in docs/reference/diagnostics.md. */
import type { KeyReport } from './lint-problem.ts';

export const configCodes = [
  'invalid-config',
  'unsupported-architecture',
  'contradictory-config',
  'unsupported-config',
  'unknown-config-key',
  'config-weights-mismatch',
  'missing-shard',
  'damaged-weights',
  'rope-scaling',
  'vocabulary-mismatch',
  'token-id-out-of-range',
  'dtype-mismatch',
  'generation-range',
  'generation-ignored',
  'generation-length',
  'unsupported-adapter',
  'adapter-range',
  'adapter-base-missing',
  'adapter-weights-mismatch',
  'unknown-module',
  'rank-above-layer',
] as const;

export type ConfigCode = (typeof configCodes)[number];
export type ConfigReport = KeyReport<ConfigCode>;
