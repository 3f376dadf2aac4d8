/** The request of a measuring process: one JSON object, the only argument of its script. */

/** Returns the request of this process. */
export function readRequest<T>(): T {
  // The script that starts this process writes the type that is named where it is read.
  return JSON.parse(process.argv[2] ?? '{}') as T;
}
