/** The settings of the extension, read into one plain value; package.json describes them to the user, and a test holds both together. */
import type { LogLevel } from '../trainer/protocol/job-messages.ts';

/** The defaults, by their name behind `rowtune.`; the same as in package.json. */
export const DEFAULTS = {
  trainerPath: '',
  node: '',
  engine: 'default',
  'daemon.url': '',
  'daemon.certificate': '',
  'daemon.folder': '',
  'daemon.idleMinutes': 30,
  logLevel: 'info',
  'trace.server': 'off',
  'heatmap.colorMap': 'viridis',
  updateIntervalMs: 500,
  'notifications.finished': true,
} as const;

export type SettingName = keyof typeof DEFAULTS;

export interface ClientSettings {
  /** The bundle of the command line, or empty for the one that came with the extension. */
  readonly trainerPath: string;
  readonly node: string;
  /** 'default' leaves it to the recipe and the environment. */
  readonly engine: string;
  /** Empty: the daemon of this machine. */
  readonly daemonUrl: string;
  /** A PEM file that vouches for it; empty trusts what the machine trusts. */
  readonly daemonCertificate: string;
  /** The folder of that machine that stands for this workspace; empty where it has the same one. */
  readonly daemonFolder: string;
  readonly idleMinutes: number;
  readonly logLevel: LogLevel;
  readonly heatmapColorMap: string;
  readonly updateIntervalMs: number;
  readonly tellsFinished: boolean;
}

/** A list of numbers faster than this is no longer read, slower than this is no longer live. */
const UPDATE_BOUNDS_MS = { min: 100, max: 60_000 } as const;
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warning', 'error'];

/** @param read gives a value as the user wrote it, which may be anything */
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
    daemonUrl: text('daemon.url'),
    daemonCertificate: text('daemon.certificate'),
    daemonFolder: text('daemon.url') === '' ? '' : text('daemon.folder'),
    idleMinutes: count('daemon.idleMinutes', { min: 0, max: 10_000 }),
    logLevel: LEVELS.find(each => each === level) ?? DEFAULTS.logLevel,
    heatmapColorMap: text('heatmap.colorMap'),
    updateIntervalMs: count('updateIntervalMs', UPDATE_BOUNDS_MS),
    tellsFinished: read('notifications.finished') !== false,
  };
}

/** Whether a line of a log is wanted. */
export const isLogged = (level: LogLevel, lowest: LogLevel): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(lowest);
