/** Runs work that must not overlap one after the other. */

export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** Returns a function that runs `work` alone. Work that was given before runs first, whether or not it fails. */
export function turns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return work => {
    const own = last.then(work);
    last = own.catch(() => undefined);
    return own;
  };
}
