/** Everything that the command line takes from its surroundings, read once: folders, engine, hub, colours. */
import path from 'node:path';
import type { JobContext } from '../protocol/job-messages.ts';

export interface Settings {
  /** Engines, models and logs. */
  readonly cacheDir: string;
  /** The daemon's: where it listens, its jobs, its log. */
  readonly stateDir: string;
  readonly engineFromEnvironment?: string;
  readonly hub: JobContext['hub'];
  /** Whether the user wants colours where a terminal can show them (https://no-color.org). */
  readonly color: boolean;
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  readonly home: string;
}

/** Reads ROWTUNE_CACHE, ROWTUNE_STATE, ROWTUNE_ENGINE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and NO_COLOR; what is empty counts as not set. */
export function resolveSettings({ env, platform, home }: Surroundings): Settings {
  const read = (name: string): string | undefined => env[name] || undefined;
  return {
    cacheDir: path.resolve(read('ROWTUNE_CACHE') ?? defaultCache({ env, platform, home })),
    stateDir: path.resolve(read('ROWTUNE_STATE') ?? defaultState({ env, platform, home })),
    engineFromEnvironment: read('ROWTUNE_ENGINE'),
    hub: { endpoint: read('HF_ENDPOINT'), token: read('HF_TOKEN'), offline: isOn(read('HF_HUB_OFFLINE')) },
    color: read('NO_COLOR') === undefined && read('TERM') !== 'dumb',
  };
}

/** As huggingface_hub reads its switches. */
const isOn = (value: string | undefined): boolean => value !== undefined && ['1', 'on', 'yes', 'true'].includes(value.toLowerCase());

function defaultCache({ env, platform, home }: Surroundings): string {
  if (platform === 'win32') return path.join(env.LOCALAPPDATA || path.join(home, 'AppData', 'Local'), 'rowtune', 'cache');
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches', 'rowtune');
  return path.join(home, '.cache', 'rowtune');
}

function defaultState({ env, platform, home }: Surroundings): string {
  if (platform === 'win32') return path.join(env.LOCALAPPDATA || path.join(home, 'AppData', 'Local'), 'rowtune', 'state');
  if (platform === 'darwin') return path.join(home, 'Library', 'Application Support', 'rowtune');
  return path.join(env.XDG_STATE_HOME || path.join(home, '.local', 'state'), 'rowtune');
}

/** What a worker gets of the settings; relative paths of recipes start from `baseDir`. */
export const jobContext = ({ cacheDir, engineFromEnvironment, hub }: Settings, baseDir: string): JobContext => ({
  cacheDir,
  baseDir,
  engineFromEnvironment,
  hub,
});
