/** Reads values that an evaluation must have. */
import { required } from '../../../trainer/narrow.ts';

interface Evaluated {
  readonly loss?: number | undefined;
  readonly measures?: Readonly<Record<string, number>> | undefined;
}

/** Returns the loss of an evaluation. @throws MissingError if there is none */
export const lossOf = (evaluated: Evaluated | null | undefined): number => required(evaluated?.loss, 'the loss');

/** Returns a measure of an evaluation. @throws MissingError if there is none */
export const measureOf = (evaluated: Evaluated | null | undefined, name: string): number => required(evaluated?.measures?.[name], name);
