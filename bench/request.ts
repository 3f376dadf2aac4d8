/** Reads the request of a measuring process: one JSON object, the only argument of its script. */

/** Returns the request of this process. */
export function readRequest<T>(): T {
  // The script that starts this process passes an object of the expected type.
  return JSON.parse(process.argv[2] ?? '{}') as T;
}
