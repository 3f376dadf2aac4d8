/** Reads the outputs of a program. */
import { float32Of, type HostArray } from '../../../trainer/graph/types.ts';
import { required } from '../../../trainer/narrow.ts';

/** Returns an output of floats. @throws MissingError or GraphError where there is none, or one of another type */
export const floatsOf = (outputs: Readonly<Record<string, HostArray>>, name: string): Float32Array =>
  float32Of(required(outputs[name], name));
