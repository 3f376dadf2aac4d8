/** Weights in the host's memory, in passes that read a model: which of them are on the device, and when. */
import { singleSteps } from '../../graph/fusion/step.ts';
import { type BufferRules, liveness } from '../../graph/liveness.ts';
import { movedAt } from '../../graph/offload.ts';
import type { Program } from '../../graph/program.ts';
import { byteSize } from '../../graph/types.ts';
import type { Attachment } from '../../method/method.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';

/** Returns the bytes of the weights stored in the host's memory, by variable. */
export const hostedSizes = (variables: Program['variables'], { hosted }: Pick<Attachment, 'hosted'>): ReadonlyMap<string, number> =>
  new Map(variables.filter(({ name }) => hosted?.has(name)).map(spec => [spec.name, byteSize(spec)]));

export interface ReadPass {
  /** Bytes of each variable in the memory of the computing device. */
  readonly sizes: readonly number[];
  /** Peak bytes in addition to the variables: tensors, and weights moved to the device for their uses. */
  readonly most: number;
}

/** Returns the memory of a program that only reads a model. */
export function priceReads(
  { signatures, variables }: Pick<Program, 'signatures' | 'variables'>,
  attachment: Pick<Attachment, 'hosted'>,
  { rules, device }: Pick<ComputesOn, 'device'> & { readonly rules: BufferRules },
): ReadPass {
  const hosted = hostedSizes(variables, attachment);
  // If a CPU computes, host and device share the same memory.
  const isHere = (name: string): boolean => device === 'cpu' || !hosted.has(name);
  const passes = Object.values(signatures).map(signature => {
    const steps = singleSteps(signature);
    const moved = movedAt(steps, hosted);
    return liveness(signature, steps, rules).bytes.reduce((most, each, i) => Math.max(most, each + (moved[i] ?? 0)), 0);
  });
  return { sizes: variables.filter(({ name }) => isHere(name)).map(spec => rules.bytes(spec)), most: Math.max(...passes) };
}
