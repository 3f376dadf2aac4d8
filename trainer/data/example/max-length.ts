/** Checks that samples are not longer than a model's positions. Cutting them silently would train on less than the recipe says. */
import { DataError } from '../data-error.ts';

/** @throws DataError if samples may be longer than the model's positions */
export function checkMaxLength(maxLength: number, maxPositions: number): void {
  if (maxLength <= maxPositions) return;
  throw new DataError({
    problem: `max_length is ${maxLength}, but the model has ${maxPositions} positions`,
    advice: `Set max_length to at most ${maxPositions}`,
  });
}
