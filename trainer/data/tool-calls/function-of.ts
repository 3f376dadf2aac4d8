/** The function of a tool or of a call, which may be written without the object around it. */
import { isRecord } from '../../narrow.ts';

/** Returns `function` of `{ type, function: { name, … } }`, or the value itself. */
export const functionOf = (value: unknown): unknown => (isRecord(value) && isRecord(value.function) ? value.function : value);
