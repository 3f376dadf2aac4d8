/** Programs whose memory use is known from the device's own compiler. */
import type { VariableSpec } from './graph.ts';
import type { Program, Signature } from './program.ts';

export interface KnownPrograms {
  /** Returns the bytes on the device in addition to the variables while the program of a signature runs; undefined if unknown. */
  workingBytes(signature: Signature, variables: readonly VariableSpec[], places: Program['places']): number | undefined;
  /**
   * Returns whether programs of such a plan may have been compiled: fast, while tracing a large model takes a second.
   * @param mark of the plan (`planMark`)
   */
  mayHave(mark: string): boolean;
  /** Records that programs of such a plan are compiled. */
  note(mark: string): Promise<void>;
  /**
   * True for programs compiled for a graphics card that is not present: only the training step of the largest batch is compiled. A run
   * compiles all.
   */
  readonly ofCard?: true;
}
