/** Copies of the values that training changes inside the model's own weights, so that the base can be read between two updates. */
import { separatePart } from '../graph/program.ts';
import type { Model } from '../model/model-spec.ts';
import type { Attachment, StartCopy, Trainable } from './method.ts';

/** Creates a copy with a single row, so that it is written in place as a whole. */
const copyOf = (trainable: Trainable): StartCopy => ({
  trainable,
  copy: { name: `${trainable.name}.start`, shape: [1, ...trainable.shape], dtype: trainable.variable.dtype },
});

/**
 * Returns the attachment with such copies. Added tensors need none: without the method's hooks they have no effect. Neither do parts that
 * are separate from a weight in host memory, which does not change.
 */
export function withStarts(attachment: Attachment, { parameters }: Model): Attachment {
  const own = new Set(parameters.map(({ name }) => name));
  const isInside = ({ name, variable }: Trainable): boolean => own.has(name) && !separatePart(attachment.hosted?.get(variable.name));
  const starts = attachment.trainables.filter(isInside).map(copyOf);
  const copies = starts.map(({ copy }) => copy);
  return {
    ...attachment,
    starts,
    frozen: [...(attachment.frozen ?? []), ...copies],
    *initial() {
      yield* attachment.initial();
      for (const { name } of copies) yield { name, data: 'zeros' };
    },
  };
}
