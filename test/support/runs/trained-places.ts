/** The elements of a model's parameters that a method may change. */
import { elementCount } from '../../../trainer/graph/types.ts';
import { type Attachment, chosenOf } from '../../../trainer/method/method.ts';
import type { ParameterSpec } from '../../../trainer/model/module-specs.ts';

/** Returns flat indices in the parameter; `all` if every element may change. */
export function trainedPlaces({ trainables }: Pick<Attachment, 'trainables'>, { name, shape }: ParameterSpec): ReadonlySet<number> | 'all' {
  const width = elementCount(shape.slice(1));
  const found = trainables.filter(({ variable }) => variable.name === name);
  if (found.some(trainable => !chosenOf(trainable))) return 'all';
  const inRow = (row: number): number[] => Array.from({ length: width }, (_, i) => row * width + i);
  const inColumn = (column: number): number[] => Array.from({ length: shape[0] as number }, (_, i) => i * width + column);
  return new Set(
    found.flatMap(({ rows, columns, elements }) => [
      ...[...(rows?.indices ?? [])].flatMap(inRow),
      ...[...(columns?.indices ?? [])].flatMap(inColumn),
      ...(elements?.indices ?? []),
    ]),
  );
}
