/** Copies of the numbers that training changes inside the model's own weights, so that the base can be read between two updates. */
import type { Model } from '../model/model-spec.ts';
import type { Attachment, StartCopy, Trainable } from './method.ts';

/** One row, so that all of it is written in place. */
const copyOf = (trainable: Trainable): StartCopy => ({
  trainable,
  copy: { name: `${trainable.name}.start`, shape: [1, ...trainable.shape], dtype: trainable.variable.dtype },
});

/** The same attachment with such copies. What a method adds needs none: it has no effect where the method has no say in the forward pass. */
export function withStarts(attachment: Attachment, { parameters }: Model): Attachment {
  const own = new Set(parameters.map(({ name }) => name));
  const starts = attachment.trainables.filter(({ name }) => own.has(name)).map(copyOf);
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
