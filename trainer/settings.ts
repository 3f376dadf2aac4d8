/** Everything that the command line and the extension take from the environment, read once: folders, engine, hub, colors. */
import path from 'node:path';
import type { JobContext, TrackerSettings } from './protocol/messages/job-messages.ts';

export interface Settings {
  /** Folder of engines, models and logs. */
  readonly cacheDir: string;
  /** Folder of the daemon: its address, its jobs, its log. */
  readonly stateDir: string;
  /** Folder of files that the user writes for all projects, such as the profile of a cluster. */
  readonly configDir: string;
  /** A daemon on another machine, in place of the one of the state folder. */
  readonly remoteDaemon?: RemoteDaemon;
  /** Token of a daemon started here; without it, every start creates a new one. */
  readonly daemonToken?: string;
  readonly engineFromEnvironment?: string;
  readonly hub: JobContext['hub'];
  readonly trackers: TrackerSettings;
  /** File in which `hf auth login` of huggingface_hub stores its token. */
  readonly hubTokenFile: string;
  /** True if the user wants colors on terminals that support them (https://no-color.org). */
  readonly color: boolean;
}

export interface RemoteDaemon {
  readonly url: string;
  readonly token: string;
  /** Path of a PEM file: the daemon's certificate, or that of the authority that signed it. */
  readonly caFile?: string;
  /** Folder on that machine from which relative paths start; by default, the name of the current folder. */
  readonly dir?: string;
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  readonly home: string;
}

/**
 * Reads ROWTUNE_CACHE, ROWTUNE_STATE, ROWTUNE_ENGINE, ROWTUNE_DAEMON_URL (with _TOKEN, _CA and _DIR), HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH,
 * HF_HOME, HF_HUB_OFFLINE, MLFLOW_TRACKING_URI (with _TOKEN, _USERNAME and _PASSWORD), MLFLOW_EXPERIMENT_NAME, TRACKIO_SERVER_URL,
 * TRACKIO_WRITE_TOKEN, TRACKIO_DIR, TRACKIO_PROJECT and NO_COLOR; an empty variable counts as unset.
 */
export function resolveSettings({ env, platform, home }: Surroundings): Settings {
  const read = (name: string): string | undefined => env[name] || undefined;
  return {
    cacheDir: path.resolve(read('ROWTUNE_CACHE') ?? defaultCache({ env, platform, home })),
    stateDir: path.resolve(read('ROWTUNE_STATE') ?? defaultState({ env, platform, home })),
    configDir: path.join(read('XDG_CONFIG_HOME') ?? path.join(home, '.config'), 'rowtune'),
    remoteDaemon: remoteDaemon(read),
    daemonToken: read('ROWTUNE_DAEMON_TOKEN'),
    engineFromEnvironment: read('ROWTUNE_ENGINE'),
    hub: { endpoint: read('HF_ENDPOINT'), token: read('HF_TOKEN'), offline: isOn(read('HF_HUB_OFFLINE')) },
    trackers: trackerSettings(read, read('HF_HOME') ?? defaultHubHome({ env, home })),
    hubTokenFile: path.resolve(read('HF_TOKEN_PATH') ?? path.join(read('HF_HOME') ?? defaultHubHome({ env, home }), 'token')),
    color: read('NO_COLOR') === undefined && read('TERM') !== 'dumb',
  };
}

const defaultHubHome = ({ env, home }: Pick<Surroundings, 'env' | 'home'>): string =>
  path.join(env.XDG_CACHE_HOME || path.join(home, '.cache'), 'huggingface');

/** The experiment and project of runs that do not name one. */
const OWN_NAME = 'rowtune';

const trackerSettings = (read: (name: string) => string | undefined, hubHome: string): TrackerSettings => ({
  mlflow: {
    uri: read('MLFLOW_TRACKING_URI'),
    token: read('MLFLOW_TRACKING_TOKEN'),
    user: read('MLFLOW_TRACKING_USERNAME'),
    password: read('MLFLOW_TRACKING_PASSWORD'),
    experiment: read('MLFLOW_EXPERIMENT_NAME') ?? OWN_NAME,
  },
  trackio: {
    url: read('TRACKIO_SERVER_URL'),
    token: read('TRACKIO_WRITE_TOKEN'),
    folder: path.resolve(read('TRACKIO_DIR') ?? path.join(hubHome, 'trackio')),
    project: read('TRACKIO_PROJECT') ?? OWN_NAME,
  },
});

function remoteDaemon(read: (name: string) => string | undefined): RemoteDaemon | undefined {
  const url = read('ROWTUNE_DAEMON_URL');
  if (url === undefined) return undefined;
  return { url, token: read('ROWTUNE_DAEMON_TOKEN') ?? '', caFile: read('ROWTUNE_DAEMON_CA'), dir: read('ROWTUNE_DAEMON_DIR') };
}

/** Parses a switch as huggingface_hub does. */
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

/** Returns the settings that a worker receives; relative paths in recipes start from `baseDir`. */
export const jobContext = ({ cacheDir, engineFromEnvironment, hub, trackers }: Settings, baseDir: string): JobContext => ({
  cacheDir,
  baseDir,
  engineFromEnvironment,
  hub,
  trackers,
});
