/** The cache folder of engines and models for tests: the user's own, as on the command line. */
import { homedir } from 'node:os';
import { resolveSettings } from '../../trainer/settings.ts';

export const { cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: homedir() });
