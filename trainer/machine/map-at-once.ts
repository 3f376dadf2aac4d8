/** Does asynchronous work for many items, a few at the same time: each may have a file or a connection open, and their number is limited. */
import { elementAt } from '../narrow.ts';

/**
 * Returns the results in the order of the items. Rejects with the first error, and starts no further work then.
 * @param count the maximum number of items in progress
 */
export async function mapAtOnce<T, R>(items: readonly T[], count: number, work: (item: T, index: number) => R | Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const workInTurn = async (): Promise<void> => {
    try {
      while (next < items.length) {
        const index = next++;
        results[index] = await work(elementAt(items, index), index);
      }
    } catch (error) {
      next = items.length;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: count }, workInTurn));
  return results;
}
