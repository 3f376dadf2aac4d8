/** Where the tests find engines and models: the user's own cache, as the command line does. */
import { homedir } from 'node:os';
import { resolveSettings } from '../../trainer/settings.ts';

export const { cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: homedir() });
