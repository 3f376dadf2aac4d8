/** Messages between the trial of files and its reading process. */
import { z } from 'zod';

export const fuzzRequest = z.object({
  format: z.string(),
  example: z.string(),
  /** Undefined for the file as it is. */
  seed: z.array(z.number()).optional(),
  /** The path at which the mutated file is saved before it is read, for investigation. */
  keepAs: z.string(),
});
export type FuzzRequest = z.infer<typeof fuzzRequest>;

export const fuzzAnswer = z.object({
  /** Set if the thrown error is not one of ours. */
  problem: z.string().optional(),
  isError: z.boolean(),
  peakBytes: z.number(),
});
export type FuzzAnswer = z.infer<typeof fuzzAnswer>;
