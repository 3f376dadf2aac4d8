/** Weights in the memory of the host, in passes that read a model: what of them is on the device, and when. */
import { singleSteps } from '../../graph/fusion/step.ts';
import { type BufferRules, liveness } from '../../graph/liveness.ts';
import { movedAt } from '../../graph/offload.ts';
import type { Program } from '../../graph/program.ts';
import { byteSize } from '../../graph/types.ts';
import type { Attachment } from '../../method/method.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';

/** Bytes of the weights that lie in the host's memory, by variable. */
export const hostedSizes = (variables: Program['variables'], { hosted }: Pick<Attachment, 'hosted'>): ReadonlyMap<string, number> =>
  new Map(variables.filter(({ name }) => hosted?.has(name)).map(spec => [spec.name, byteSize(spec)]));

export interface ReadPass {
  /** Bytes of each variable in the memory of whatever computes. */
  readonly sizes: readonly number[];
  /** The most bytes alive at once in addition to them: tensors, and weights that were moved for their uses. */
  readonly most: number;
}

/** The memory of a program that only reads a model. */
export function priceReads(
  { signatures, variables }: Pick<Program, 'signatures' | 'variables'>,
  attachment: Pick<Attachment, 'hosted'>,
  { rules, device }: Pick<ComputesOn, 'device'> & { readonly rules: BufferRules },
): ReadPass {
  const hosted = hostedSizes(variables, attachment);
  // Next to a processor, both are one memory.
  const isHere = (name: string): boolean => device === 'cpu' || !hosted.has(name);
  const passes = Object.values(signatures).map(signature => {
    const steps = singleSteps(signature);
    const moved = movedAt(steps, hosted);
    return liveness(signature, steps, rules).bytes.reduce((most, each, i) => Math.max(most, each + (moved[i] ?? 0)), 0);
  });
  return { sizes: variables.filter(({ name }) => isHere(name)).map(spec => rules.bytes(spec)), most: Math.max(...passes) };
}
