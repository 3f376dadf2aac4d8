/** Programs whose memory the device's own compiler has counted. */
import type { VariableSpec } from './graph.ts';
import type { Program, Signature } from './program.ts';

export interface KnownPrograms {
  /** Bytes on the device in addition to the variables, while the program of a signature runs; undefined where it is not known. */
  workingBytes(signature: Signature, variables: readonly VariableSpec[], places: Program['places']): number | undefined;
  /** Whether programs of such a plan may have been compiled: quick, where tracing a large model takes a second. @param mark of the plan (`planMark`) */
  mayHave(mark: string): boolean;
  /** Notes that programs of such a plan are compiled. */
  note(mark: string): Promise<void>;
  /** Those of a card, for which only the training step of the largest batch is compiled; else runs compile all of their programs. */
  readonly ofCard?: true;
}
