/** Starts processes, and reports every failure to do so in one way. */
import type { ChildProcess } from 'node:child_process';

export type Started<Child> = { readonly child: Child } | { readonly failure: Promise<Error> };

/**
 * Node throws some of the system's failures, such as ENOMEM, and emits others, such as EMFILE, on an object whose streams and methods may
 * be missing.
 * @param start calls a function of node:child_process
 */
export function startProcess<Child extends ChildProcess>(start: () => Child): Started<Child> {
  try {
    const child = start();
    if (child.pid !== undefined) return { child };
    return { failure: new Promise(resolve => void child.once('error', resolve)) };
  } catch (error) {
    return { failure: Promise.resolve(error instanceof Error ? error : new Error(String(error))) };
  }
}
