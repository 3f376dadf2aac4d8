/** The requests of a reading process, answered in this one. */
import type { AskReader } from '../../trainer/reader/reader.ts';
import { readerRequests } from '../../trainer/reader/reader-requests.ts';

export const readHere: AskReader = {
  ask: async (name, params) => (readerRequests[name] as (params: unknown) => never)(params),
};
