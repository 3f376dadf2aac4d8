/** Reads the outputs of a program. */
import { float32Of, type HostArray } from '../../../trainer/graph/types.ts';
import { required } from '../../../trainer/narrow.ts';

/** Returns a float output. @throws MissingError or GraphError if it is missing or has another type */
export const floatsOf = (outputs: Readonly<Record<string, HostArray>>, name: string): Float32Array =>
  float32Of(required(outputs[name], name));
