/** Tests settings that the command line takes from its environment. */
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { jobContext, resolveSettings } from '../../trainer/settings.ts';

const resolve = (env: Record<string, string>, platform = 'linux') => resolveSettings({ env, platform, home: '/home/ada' });

describe('cache folder', () => {
  test.each([
    ['linux', {}, '/home/ada/.cache/rowtune'],
    ['darwin', {}, '/home/ada/Library/Caches/rowtune'],
    ['linux', { ROWTUNE_CACHE: '/data/rt' }, '/data/rt'],
    ['linux', { ROWTUNE_CACHE: '' }, '/home/ada/.cache/rowtune'],
    ['win32', { LOCALAPPDATA: '/ada/local' }, '/ada/local/rowtune/cache'],
  ])('%s %j', (platform, env, expected) => expect(resolve(env, platform).cacheDir).toBe(expected));

  test('a relative one starts from the working folder', () => expect(resolve({ ROWTUNE_CACHE: 'c' }).cacheDir).toBe(path.resolve('c')));
});

describe('hub and engine', () => {
  test('are undefined or off by default', () => {
    expect(resolve({})).toMatchObject({
      engineFromEnvironment: undefined,
      hub: { endpoint: undefined, token: undefined, offline: false },
      color: true,
    });
  });

  test('are read from the environment', () => {
    const settings = resolve({
      ROWTUNE_ENGINE: 'portable',
      HF_TOKEN: 'hf_x',
      HF_ENDPOINT: 'https://hub.example',
      HF_HUB_OFFLINE: '1',
      NO_COLOR: '1',
    });
    expect(settings).toMatchObject({
      engineFromEnvironment: 'portable',
      hub: { endpoint: 'https://hub.example', token: 'hf_x', offline: true },
      color: false,
    });
    expect(jobContext(settings, '/work')).toEqual({
      cacheDir: '/home/ada/.cache/rowtune',
      baseDir: '/work',
      engineFromEnvironment: 'portable',
      hub: settings.hub,
      trackers: settings.trackers,
    });
  });

  test('trackers have the names of their own libraries', () => {
    expect(resolve({}).trackers).toEqual({
      mlflow: { experiment: 'rowtune' },
      trackio: { folder: '/home/ada/.cache/huggingface/trackio', project: 'rowtune' },
    });
    const { trackers } = resolve({
      MLFLOW_TRACKING_URI: 'http://m',
      MLFLOW_TRACKING_TOKEN: 't',
      MLFLOW_EXPERIMENT_NAME: 'e',
      TRACKIO_SERVER_URL: 'http://t',
      TRACKIO_WRITE_TOKEN: 'w',
      TRACKIO_DIR: '/t',
      TRACKIO_PROJECT: 'p',
    });
    expect(trackers).toEqual({
      mlflow: { uri: 'http://m', token: 't', experiment: 'e' },
      trackio: { url: 'http://t', token: 'w', folder: '/t', project: 'p' },
    });
  });

  test.each([
    [{}, '/home/ada/.cache/huggingface/token'],
    [{ XDG_CACHE_HOME: '/c' }, '/c/huggingface/token'],
    [{ XDG_CACHE_HOME: '/c', HF_HOME: '/hf' }, '/hf/token'],
    [{ HF_HOME: '/hf', HF_TOKEN_PATH: '/secret' }, '/secret'],
  ])('the token of a login: %j', (env, expected) => expect(resolve(env).hubTokenFile).toBe(expected));

  test.each(['0', 'false', 'no', ''])('HF_HUB_OFFLINE=%s is off', value =>
    expect(resolve({ HF_HUB_OFFLINE: value }).hub.offline).toBe(false),
  );
});
