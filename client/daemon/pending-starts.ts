/** Ids of jobs that were requested and not yet confirmed. */
import { randomUUID } from 'node:crypto';

/**
 * The daemon starts only one job per id. A user who presses Train again because the daemon takes seconds to start means the same run, so
 * equal starts that overlap share an id.
 */
export class PendingStarts {
  private readonly ids = new Map<string, string>();

  /** @param what identifies what is started, such as the recipe's text; equal values that overlap are one start */
  async run<T>(what: unknown, start: (id: string) => Promise<T>): Promise<T> {
    const key = JSON.stringify(what);
    const id = this.ids.get(key) ?? randomUUID();
    this.ids.set(key, id);
    try {
      return await start(id);
    } finally {
      // The next press is a new run.
      if (this.ids.get(key) === id) this.ids.delete(key);
    }
  }
}
