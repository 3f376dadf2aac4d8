/**
 * The settings of the extension as one plain value. package.json describes them to the user; a test keeps both in sync.
 */
import type { LogLevel } from '../trainer/protocol/messages/job-messages.ts';

/** Defaults by name without the prefix `rowtune.`; the same as in package.json. */
export const DEFAULTS = {
  trainerPath: '',
  node: '',
  engine: 'default',
  card: '',
  'daemon.url': '',
  'daemon.certificate': '',
  'daemon.folder': '',
  'daemon.idleMinutes': 30,
  'chat.keepLoadedMinutes': 5,
  logLevel: 'info',
  'trace.server': 'off',
  'heatmap.colorMap': 'viridis',
  updateIntervalMs: 500,
  'notifications.finished': true,
} as const;

export type SettingName = keyof typeof DEFAULTS;

export interface ClientSettings {
  /** Path of the command line's bundle; empty for the one that comes with the extension. */
  readonly trainerPath: string;
  readonly node: string;
  /** The engine; 'default' leaves the choice to the recipe and the environment. */
  readonly engine: string;
  /** The name of a graphics card in the catalog; empty for this machine. */
  readonly card: string;
  /** Address of the daemon; empty for the daemon on this machine. */
  readonly daemonUrl: string;
  /** PEM file with the daemon's certificate; empty uses the certificates that this machine trusts. */
  readonly daemonCertificate: string;
  /** The folder on the daemon's machine that corresponds to this workspace; empty if the paths are equal. */
  readonly daemonFolder: string;
  readonly idleMinutes: number;
  /** Minutes that a chat model stays loaded after an answer; 0 unloads it at once. */
  readonly chatKeepMinutes: number;
  readonly logLevel: LogLevel;
  readonly heatmapColorMap: string;
  readonly updateIntervalMs: number;
  readonly tellsFinished: boolean;
}

/** Bounds of the update interval: nobody can read faster updates, and slower ones no longer feel live. */
const UPDATE_BOUNDS_MS = { min: 100, max: 60_000 } as const;
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warning', 'error'];

/** @param read returns the value as the user wrote it, which may be of any type */
export function readClientSettings(read: (name: SettingName) => unknown): ClientSettings {
  const text = (name: SettingName): string => {
    const value = read(name);
    return typeof value === 'string' ? value.trim() : String(DEFAULTS[name]);
  };
  const count = (name: SettingName, { min, max }: { readonly min: number; readonly max: number }): number => {
    const value = read(name);
    return typeof value === 'number' && Number.isFinite(value) ? Math.min(max, Math.max(min, value)) : Number(DEFAULTS[name]);
  };
  const level = text('logLevel');
  return {
    trainerPath: text('trainerPath'),
    node: text('node'),
    engine: text('engine'),
    card: text('card'),
    daemonUrl: text('daemon.url'),
    daemonCertificate: text('daemon.certificate'),
    daemonFolder: text('daemon.url') === '' ? '' : text('daemon.folder'),
    idleMinutes: count('daemon.idleMinutes', { min: 0, max: 10_000 }),
    chatKeepMinutes: count('chat.keepLoadedMinutes', { min: 0, max: 1440 }),
    logLevel: LEVELS.find(each => each === level) ?? DEFAULTS.logLevel,
    heatmapColorMap: text('heatmap.colorMap'),
    updateIntervalMs: count('updateIntervalMs', UPDATE_BOUNDS_MS),
    tellsFinished: read('notifications.finished') !== false,
  };
}

/** True if a log line is shown at the chosen level. */
export const isLogged = (level: LogLevel, lowest: LogLevel): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(lowest);
