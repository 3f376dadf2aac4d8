/** Where engines, models and Python environments are kept between runs: ROWTUNE_CACHE, or ~/.cache/rowtune. */
import os from 'node:os';
import path from 'node:path';

export const cacheFolder = () => path.resolve(process.env.ROWTUNE_CACHE ?? path.join(os.homedir(), '.cache', 'rowtune'));
