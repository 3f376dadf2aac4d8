/** Extracts the function of a tool or a call, which may lack the enclosing object. */
import { isRecord } from '../../narrow.ts';

/** Returns `function` of `{ type, function: { name, … } }`, or the value itself. */
export const functionOf = (value: unknown): unknown => (isRecord(value) && isRecord(value.function) ? value.function : value);
