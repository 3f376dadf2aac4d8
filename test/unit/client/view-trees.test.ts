/** Tests the Models and Devices views, and which items of a view are redrawn. */
import { describe, expect, test } from 'vitest';
import { deviceTree, engineLabel } from '../../../client/views/device-tree.ts';
import { modelFacts, modelTree } from '../../../client/views/model-tree.ts';
import { changesOf } from '../../../client/views/view-changes.ts';
import type { EngineStatus, ModelInfo } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { parameterCount } from '../../../trainer/protocol/text/format.ts';

describe('models', () => {
  const model = (name: string, change: Partial<ModelInfo> = {}): ModelInfo => ({ name, path: `/m/${name}`, source: 'folder', ...change });

  test('of the workspace come first, and a recipe names them by path, others by name', () => {
    const groups = modelTree([model('org/b', { source: 'cache', path: '/cache/b' }), model('z'), model('a')]);
    expect(groups.map(({ name, items }) => [name, ...items.map(item => item.model)])).toEqual([
      ['Workspace', '/m/a', '/m/z'],
      ['Cache', 'org/b'],
    ]);
  });

  test('of the same name, in several folders of a workspace, are labeled by the ends of their paths', () => {
    const models = [model('base', { path: '/w/one/base' }), model('base', { path: '/w/two/base' }), model('other')];
    expect(modelTree(models)[0]?.items.map(({ label }) => label)).toEqual(['one/base', 'other', 'two/base']);
  });

  test('tell family, size and dtype, or that they are broken', () => {
    const facts = { family: 'llama', parameters: 134_515_008, weightBytes: 269_030_016, dtypes: ['BF16'] };
    expect(modelFacts(model('a', facts))).toBe('llama · 135M parameters · 269 MB · BF16');
    expect(modelTree([model('a', { problem: 'the header ends too early' })])[0]?.items[0]).toMatchObject({
      description: 'cannot be read',
      isBroken: true,
      flags: ['model', 'broken'],
      tooltip: ['a', 'the header ends too early', '/m/a'],
    });
  });

  test('can be tried if they write text, or if the daemon does not say', () => {
    const flagsOf = (change: Partial<ModelInfo>) => modelTree([model('a', change)])[0]?.items[0]?.flags;
    expect([{}, { answersText: true }, { answersText: false }].map(flagsOf)).toEqual([
      ['model', 'answers'],
      ['model', 'answers'],
      ['model'],
    ]);
  });

  test.each([
    [7_241_732_096, '7.2B'],
    [134_515_008, '135M'],
    [70_000_000_000, '70B'],
    [78_144, '78.1k'],
    [512, '512'],
  ])('%i parameters are %s', (count, text) => expect(parameterCount(count)).toBe(text));
});

describe('devices', () => {
  const status: EngineStatus = {
    machine: { cpu: { model: 'A CPU', cores: 8, features: ['AVX2'] }, memory: { totalBytes: 16e9, availableBytes: 9e9 } },
    installedEngines: ['tensorflow-2.21.0-cpu'],
    freeDiskBytes: 50e9,
  };
  const labels = (change: Partial<EngineStatus>) => deviceTree({ ...status, ...change }, false).map(({ label }) => label);

  test('engine, processor, memory, disk', () => {
    expect(labels({})).toEqual(['TensorFlow 2.21.0 (CPU)', 'A CPU', '9.0 GB of memory free', '50.0 GB of disk free']);
  });

  test('offers what is missing', () => {
    const [first] = deviceTree({ ...status, installedEngines: [] }, false);
    expect(first).toMatchObject({ label: 'TensorFlow is not installed', command: { id: 'rowtune.installEngine' } });
    const gpu = { name: 'A GPU', driver: '555', freeBytes: 70e9 };
    expect(deviceTree({ ...status, gpu }, false).find(({ id }) => id === 'gpu')).toMatchObject({
      command: { id: 'rowtune.installEngine' },
    });
    const withCuda = deviceTree({ ...status, gpu, installedEngines: ['tensorflow-2.21.0-cuda'] }, false).find(({ id }) => id === 'gpu');
    expect(withCuda?.command).toBeUndefined();
    expect(withCuda?.description).toBe('GPU · 70.0 GB free');
  });

  test('names of engines', () => {
    expect(engineLabel('tensorflow-2.21.0-cuda')).toBe('TensorFlow 2.21.0 (CUDA)');
    expect(engineLabel('another')).toBe('another');
  });
});

describe('changes of a view', () => {
  const group = (name: string, ...items: { id: string; text: string }[]) => ({ name, items });
  const a = { id: 'a', text: '1' };
  const b = { id: 'b', text: '1' };

  test('are single items if only their text differs', () => {
    expect(changesOf([group('x', a, b)], [group('x', { ...a }, { ...b, text: '2' })])).toEqual([{ shown: b, now: { id: 'b', text: '2' } }]);
    expect(changesOf([group('x', a)], [group('x', { ...a })])).toEqual([]);
  });

  test('are undefined if items were added, removed or moved', () => {
    expect(changesOf([group('x', a)], [group('x', a, b)])).toBeUndefined();
    expect(changesOf([group('x', a, b)], [group('x', b, a)])).toBeUndefined();
    expect(changesOf([group('x', a)], [group('y', a)])).toBeUndefined();
  });
});
