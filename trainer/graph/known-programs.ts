/** Programs whose memory the device's own compiler has counted. */
import type { VariableSpec } from './graph.ts';
import type { Signature } from './program.ts';

export interface KnownPrograms {
  /** Bytes on the device in addition to the variables, while the program of a signature runs; undefined where it is not known. */
  workingBytes(signature: Signature, variables: readonly VariableSpec[]): number | undefined;
  /** Those of a card, for which only the training step of the largest batch is compiled. Left out where runs compile all of their programs. */
  readonly ofCard?: {
    /** Whether a step of such a plan was compiled, without tracing it. @param mark of the plan (`planMark`) */
    hasStep(mark: string): boolean;
  };
}
