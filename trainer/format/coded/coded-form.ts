/** A form of weights in codes: which tensors of a file are weights. */
import type { FileProblem } from '../model-file-error.ts';
import type { CodedWeight } from './coded-weight.ts';
import { Parts, type Tensors } from './part-checks.ts';

/** A weight, or what is wrong with it. */
export interface Found {
  readonly weight: CodedWeight | undefined;
  readonly problems: readonly FileProblem[];
}

/**
 * Finds the weights of files with this quantization_config, by headers alone, and names of other tensors that a program for inference
 * needs.
 */
export type CodedForm = (
  tensors: Tensors,
  how: Readonly<Record<string, unknown>>,
) => { readonly layers: readonly Found[]; readonly others: readonly string[] };

/** Describes one weight, or says what is wrong with it. @param describe gives undefined only after it added a problem to the parts */
export function foundWeight(tensors: Tensors, describe: (parts: Parts) => CodedWeight | undefined): Found {
  const parts = new Parts(tensors);
  const weight = describe(parts);
  return { weight: parts.problems.length === 0 ? weight : undefined, problems: parts.problems };
}
