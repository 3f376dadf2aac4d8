/** Returns the error that a promise rejects with. */

type ErrorClass<Kind> = (abstract new (...args: never[]) => Kind) & { readonly name: string };

/** @throws Error if the work succeeds, or rejects with an error of another class */
export async function rejectionOf<Kind extends Error>(work: Promise<unknown>, kind: ErrorClass<Kind>): Promise<Kind> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof kind) return error;
  throw new Error(`a ${kind.name} was expected, not ${error ?? 'a success'}`);
}
