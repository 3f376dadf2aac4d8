/** Reads the outputs of a program. */
import { float32Of, type HostArray } from '../../trainer/graph/types.ts';
import { required } from '../../trainer/narrow.ts';

/** Returns an output of floats. @throws MissingError or GraphError where there is none, or one of another type */
export const floatsOf = (outputs: Readonly<Record<string, HostArray>>, name: string): Float32Array =>
  float32Of(required(outputs[name], name));

/** Returns outputs that are all floats. @throws GraphError if one is of another type */
export const allFloats = (outputs: Readonly<Record<string, HostArray>>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(outputs).map(([name, data]) => [name, float32Of(data)]));
