/** Ids of starts that have no answer yet. */
import { randomUUID } from 'node:crypto';

/**
 * The daemon starts one job for an id, however often it is asked. A user who presses Train again because the daemon takes seconds to
 * start means the same run, so equal starts that overlap share their id.
 */
export class PendingStarts {
  private readonly ids = new Map<string, string>();

  /** @param what names what is started, such as the recipe's text; equal names that overlap are one start */
  async run<T>(what: unknown, start: (id: string) => Promise<T>): Promise<T> {
    const key = JSON.stringify(what);
    const id = this.ids.get(key) ?? randomUUID();
    this.ids.set(key, id);
    try {
      return await start(id);
    } finally {
      // Whoever presses from now on wants another run.
      if (this.ids.get(key) === id) this.ids.delete(key);
    }
  }
}
