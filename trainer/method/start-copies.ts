/** Copies of the numbers that training changes inside the model's own weights, so that the base can be read between two updates. */
import { partApart } from '../graph/program.ts';
import type { Model } from '../model/model-spec.ts';
import type { Attachment, StartCopy, Trainable } from './method.ts';

/** One row, so that all of it is written in place. */
const copyOf = (trainable: Trainable): StartCopy => ({
  trainable,
  copy: { name: `${trainable.name}.start`, shape: [1, ...trainable.shape], dtype: trainable.variable.dtype },
});

/**
 * The same attachment with such copies. What a method adds needs none: it has no effect where the method has no say in the forward pass. Neither do
 * parts that lie apart from a weight in the host's memory, which stays as it is.
 */
export function withStarts(attachment: Attachment, { parameters }: Model): Attachment {
  const own = new Set(parameters.map(({ name }) => name));
  const isInside = ({ name, variable }: Trainable): boolean => own.has(name) && !partApart(attachment.hosted?.get(variable.name));
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
