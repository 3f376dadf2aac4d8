/** Tests the environment variables that libtpu gets: none for other plugins, and none in place of the user's own. */
import { expect, it } from 'vitest';
import type { Surroundings } from '../../../trainer/engine/install/find-device.ts';
import { pjrtPlugins } from '../../../trainer/engine/install/pjrt-plugins.ts';
import { pluginVariables } from '../../../trainer/engine/install/plugin-variables.ts';

const empty: Surroundings = { gpu: undefined, platform: 'linux x64', read: () => undefined, list: () => [] };
const withTpu: Surroundings = {
  ...empty,
  list: () => ['0000:00:04.0'],
  read: file => (file.endsWith('vendor') ? '0x1ae0\n' : '0x0063\n'),
};
const computing = { isCompileOnly: false };
const compiling = { isCompileOnly: true };

it('libtpu asks no metadata server on a machine without a TPU', () => {
  expect(pluginVariables(pjrtPlugins.tpu, computing, empty, {})).toMatchObject({ TPU_SKIP_MDS_QUERY: '1' });
  expect(pluginVariables(pjrtPlugins.tpu, computing, withTpu, {})).not.toHaveProperty('TPU_SKIP_MDS_QUERY');
});

it('several processes may compile with libtpu, and one computes', () => {
  expect(pluginVariables(pjrtPlugins.tpu, compiling, withTpu, {})).toHaveProperty('ALLOW_MULTIPLE_LIBTPU_LOAD');
  expect(pluginVariables(pjrtPlugins.tpu, computing, withTpu, {})).not.toHaveProperty('ALLOW_MULTIPLE_LIBTPU_LOAD');
});

it("a user's own value stays", () => {
  const own = { TPU_LOG_DIR: '/logs' };
  expect(pluginVariables(pjrtPlugins.tpu, computing, empty, own)).not.toHaveProperty('TPU_LOG_DIR');
});

it('a plugin at any path is libtpu by its name, and others get nothing', () => {
  expect(pluginVariables({ device: 'any', library: '/lib/libtpu.so' }, computing, empty, {})).toHaveProperty('TPU_LOG_DIR');
  expect(pluginVariables(pjrtPlugins.cuda13, compiling, empty, {})).toEqual({});
});
