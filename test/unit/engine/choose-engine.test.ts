/** Tests the choice of an engine: explicit requests are met or refused, and automatic fallbacks are announced. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseEngine } from '../../../trainer/engine/choose-engine.ts';
import {
  addonPath,
  enginesFolder,
  listEngines,
  locateEngine,
  MANIFEST_FORMAT,
  partialFolder,
  removeEngine,
  TENSORFLOW_VERSION,
} from '../../../trainer/engine/install/engine-folder.ts';

const emptyCache = () => mkdtempSync(path.join(os.tmpdir(), 'rowtune-cache-'));

function pretendInstalled(cacheDir: string, variant: 'cpu' | 'cuda', tensorflow = TENSORFLOW_VERSION): string {
  const name = `tensorflow-${tensorflow}-${variant}`;
  const folder = path.join(enginesFolder(cacheDir), name);
  mkdirSync(path.dirname(addonPath(folder)), { recursive: true });
  writeFileSync(addonPath(folder), '');
  const manifest = { format: MANIFEST_FORMAT, tensorflow, addonPackage: 'p@1', variant, wheels: [], addonSha256: '', installedAt: '' };
  writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(manifest));
  return name;
}

describe('chooseEngine', () => {
  it('steps down to portable with a warning that names the command', () => {
    const choice = chooseEngine({ requested: 'auto', cacheDir: emptyCache() });
    expect(choice.name).toBe('portable');
    expect(choice.warning).toContain('the portable engine runs');
    expect(choice.remedy).toBe('rowtune engine install');
  });

  it('refuses an engine that was asked for and is missing', () => {
    const missing = { cacheDir: emptyCache() };
    expect(() => chooseEngine({ requested: 'tensorflow', ...missing })).toThrow(/rowtune engine install/);
    expect(() => chooseEngine({ requested: 'pjrt', ...missing })).toThrow(
      /pjrt engine .* not installed .* rowtune engine install --variant pjrt/,
    );
    expect(() => chooseEngine({ requested: 'auto', fromEnvironment: 'tensorflow', ...missing })).toThrow(/rowtune engine install/);
    expect(() => chooseEngine({ requested: 'auto', fromEnvironment: 'torch', ...missing })).toThrow(/ROWTUNE_ENGINE is 'torch'/);
  });

  it('takes TensorFlow where it is installed, and the environment where the recipe says auto', () => {
    const cacheDir = emptyCache();
    pretendInstalled(cacheDir, 'cpu');
    expect(chooseEngine({ requested: 'auto', cacheDir })).toEqual({ name: 'tensorflow' });
    expect(chooseEngine({ requested: 'auto', fromEnvironment: 'portable', cacheDir })).toEqual({ name: 'portable' });
    expect(chooseEngine({ requested: 'tensorflow', fromEnvironment: 'portable', cacheDir })).toEqual({ name: 'tensorflow' });
  });
});

describe('engine folder', () => {
  it('lists only complete engines, the CUDA build first, and runs only the version it was made for', () => {
    const cacheDir = emptyCache();
    const old = pretendInstalled(cacheDir, 'cpu', '2.9.1');
    expect(locateEngine(cacheDir)).toBeUndefined();
    const cpu = pretendInstalled(cacheDir, 'cpu');
    const cuda = pretendInstalled(cacheDir, 'cuda');
    mkdirSync(path.join(enginesFolder(cacheDir), 'tensorflow-9.9.9-cpu'));
    mkdirSync(partialFolder(cacheDir, 'cpu'));
    expect(listEngines(cacheDir).map(engine => engine.name)).toEqual([cuda, cpu, old]);
    expect(locateEngine(cacheDir)?.name).toBe(cuda);
  });

  it('removes an engine with what an interrupted install left, and nothing outside its folder', () => {
    const cacheDir = emptyCache();
    const cpu = pretendInstalled(cacheDir, 'cpu');
    mkdirSync(partialFolder(cacheDir, 'cpu'));
    expect(removeEngine(cacheDir, cpu)).toHaveLength(2);
    expect(listEngines(cacheDir)).toEqual([]);
    for (const name of [cpu, '', '.', '..', '../..', '/etc']) expect(removeEngine(cacheDir, name)).toEqual([]);
  });
});
