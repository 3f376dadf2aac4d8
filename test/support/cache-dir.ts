/** Where the tests find engines and models: the user's own cache, as the command line does. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export const cacheDir = process.env.ROWTUNE_CACHE ?? join(homedir(), '.cache', 'rowtune');
