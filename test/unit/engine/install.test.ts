/** Tests the parts of the engine installation that need no network: wheels, lock, tools. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { resolveAddonSources } from '../../../trainer/engine/install/addon-sources.ts';
import { addonPath } from '../../../trainer/engine/install/engine-folder.ts';
import { addImages, imagePackages, importSharp } from '../../../trainer/engine/install/image-packages.ts';
import { withInstallLock } from '../../../trainer/engine/install/install-lock.ts';
import { kernelsAreCurrent, kernelsPath, removeOldKernels } from '../../../trainer/engine/install/kernel-stamp.ts';
import { importOptional, installedPackage, optionalFolder } from '../../../trainer/engine/install/optional-packages.ts';
import { runCommand } from '../../../trainer/engine/install/run-command.ts';
import { findNpm, findPython, isAtLeast, requirePlatform } from '../../../trainer/engine/install/toolchain.ts';
import { webgpuPackages } from '../../../trainer/engine/install/webgpu-packages.ts';
import { downloadWheel, fetchWheel, findWheel, type WheelContext } from '../../../trainer/engine/install/wheel.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const python = await findPython();
const noPython = 'missing' in python ? `(skipped: ${python.missing})` : '';

const WHEEL = 'tensorflow_cpu-9.9.9-py3-none-any.whl';

/** Creates a small wheel like TensorFlow's: two libraries, headers that include one another, RECORD, and the CUDA extra. */
const MAKE_WHEEL = `
import base64, hashlib, sys, zipfile
info = 'tensorflow_cpu-9.9.9.dist-info/'
files = {
  'tensorflow/libtensorflow_cc.so.2': b'cc' * 50000,
  'tensorflow/libtensorflow_framework.so.2': b'framework' * 1000,
  'tensorflow/include/a.h': b'#include "b/b.h"\\n#include <stdio.h>\\n',
  'tensorflow/include/b/b.h': b'  # include "a.h"\\n',
  'tensorflow/include/unused.h': b'',
  info + 'METADATA': b'Metadata-Version: 2.1\\nName: tensorflow_cpu\\nVersion: 9.9.9\\nRequires-Dist: numpy\\nRequires-Dist: nvidia-a-cu12<13.0,>=12.5; extra == "and-cuda"\\n',
  info + 'WHEEL': b'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n',
}
record = ''
for name, data in files.items():
  digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
  record += '%s,sha256=%s,%d\\n' % (name, digest, len(data))
if len(sys.argv) > 2:
  files['tensorflow/libtensorflow_cc.so.2'] = b'other' * 20000
with zipfile.ZipFile(sys.argv[1], 'w') as z:
  for name, data in files.items():
    z.writestr(name, data)
  z.writestr(info + 'RECORD', record)
`;

function makeWheel(folder: string, ...flags: string[]): string {
  const wheel = path.join(folder, WHEEL);
  mkdirSync(folder, { recursive: true });
  if ('missing' in python) throw new Error('these tests are skipped without Python');
  expect(spawnSync(python.command, ['-c', MAKE_WHEEL, wheel, ...flags]).status).toBe(0);
  return wheel;
}

/** Creates folders with a wheel source that pip finds instead of the network. */
function setUp() {
  const root = makeTemporaryFolder();
  const lines: string[] = [];
  const folders = { downloads: path.join(root, 'downloads'), source: path.join(root, 'source'), target: path.join(root, 'runtime') };
  if ('missing' in python) throw new Error('these tests are skipped without Python');
  const context: WheelContext = { python, downloads: folders.downloads, log: line => lines.push(line), onProgress: () => undefined };
  return { ...folders, lines, context };
}

const fetch = (context: WheelContext, target: string) => fetchWheel(context, 'tensorflow-cpu==9.9.9', target, 'tensorflow', ['a.h']);

/** Restricts pip to a folder, as the user may with these variables. */
async function offline<T>(source: string, work: () => Promise<T>): Promise<T> {
  vi.stubEnv('PIP_NO_INDEX', '1');
  vi.stubEnv('PIP_FIND_LINKS', source);
  try {
    return await work();
  } finally {
    vi.unstubAllEnvs();
  }
}

describe.skipIf(noPython)(`wheels ${noPython}`, () => {
  it('takes the libraries, the headers that are reached, and the CUDA requirements', async () => {
    const { downloads, target, context } = setUp();
    makeWheel(downloads);
    const { cudaRequirements, wheel } = await fetch(context, target);
    expect(cudaRequirements).toEqual(['nvidia-a-cu12<13.0,>=12.5']);
    expect(path.basename(wheel)).toBe(WHEEL);
    expect(readFileSync(path.join(target, 'tensorflow/libtensorflow_cc.so.2')).length).toBe(100_000);
    expect(existsSync(path.join(target, 'tensorflow/include/b/b.h'))).toBe(true);
    expect(existsSync(path.join(target, 'tensorflow/include/unused.h'))).toBe(false);
  });

  it.each([
    ['cut off', (wheel: string) => writeFileSync(wheel, readFileSync(wheel).subarray(0, 5000))],
    [
      'changed in one byte',
      (wheel: string) =>
        writeFileSync(
          wheel,
          readFileSync(wheel).map((byte, i) => (i === 2000 ? byte ^ 1 : byte)),
        ),
    ],
    ['not what RECORD says', (wheel: string) => void makeWheel(path.dirname(wheel), 'lie')],
  ])('throws away a wheel that is %s and downloads it again', async (_, damage) => {
    const { downloads, source, target, context, lines } = setUp();
    makeWheel(source);
    damage(makeWheel(downloads));
    await offline(source, () => fetch(context, target));
    expect(lines.join('\n')).toMatch(/is damaged .*downloading it again/);
    expect(readFileSync(path.join(target, 'tensorflow/libtensorflow_cc.so.2'), 'latin1').startsWith('cccc')).toBe(true);
  });

  it('says so when the wheel is damaged at its source, and keeps nothing of it', async () => {
    const { downloads, source, target, context } = setUp();
    makeWheel(source, 'lie');
    await expect(offline(source, () => fetch(context, target))).rejects.toThrow(/damaged twice over.*rowtune engine install/);
    expect(existsSync(path.join(downloads, WHEEL))).toBe(false);
  });

  it('takes the wheel of another Python where this one has none', async () => {
    const { source, context, lines } = setUp();
    const wheel = makeWheel(source);
    const other = wheel.replace('py3-none', 'cp312-none');
    renameSync(wheel, other);
    const got = await offline(source, () => downloadWheel(context, 'tensorflow-cpu==9.9.9'));
    expect(path.basename(got)).toBe(path.basename(other));
    if (!('missing' in python) && !python.pythonVersion.startsWith('3.12')) expect(lines.join('\n')).toContain('Python 3.12');
  });

  it('gives pip’s own words when there is nothing to download', async () => {
    const { source, context } = setUp();
    mkdirSync(source);
    await expect(offline(source, () => downloadWheel(context, 'tensorflow-cpu==9.9.9'))).rejects.toThrow(/No matching distribution/);
  });
});

describe('findWheel', () => {
  it('knows a project by any spelling, and an exact version', () => {
    const files = ['nvidia_cublas_cu12-12.5.3.2-py3-none-any.whl', 'x.txt', WHEEL];
    expect(findWheel(files, 'nvidia-cublas-cu12<13.0,>=12.5.3.2')).toBe(files[0]);
    expect(findWheel(files, 'tensorflow-cpu==9.9.9')).toBe(WHEEL);
    expect(findWheel(files, 'tensorflow-cpu==9.9.8')).toBeUndefined();
    expect(findWheel(files, 'tensorflow==9.9.9')).toBeUndefined();
  });
});

describe('withInstallLock', () => {
  const lockFile = () => path.join(makeTemporaryFolder(), 'lock');

  it('lets one at a time, tells who waits, and is free again after a failure', async () => {
    const file = lockFile();
    const events: string[] = [];
    const first = withInstallLock(
      file,
      () => undefined,
      async () => {
        events.push('first in');
        await delay(100);
        events.push('first out');
        throw new Error('failed');
      },
    );
    const second = withInstallLock(
      file,
      line => events.push(line),
      async () => events.push('second in'),
    );
    await expect(first).rejects.toThrow('failed');
    await second;
    expect(events).toEqual(['first in', `another install is running (process ${process.pid}); waiting for it`, 'first out', 'second in']);
    expect(existsSync(file)).toBe(false);
  });
});

describe('tools', () => {
  it('compares versions', () => {
    expect(isAtLeast('20.3', [20, 3])).toBe(true);
    expect(isAtLeast('20.2.9', [20, 3])).toBe(false);
    expect(isAtLeast('23.0rc1', [20, 3])).toBe(true);
  });

  it.each([
    ['3.6.9', 'python3 is Python 3.6.9, which is too old (3.8 or later is needed)'],
    ['2.7.18', 'python3 was not found'],
  ])('tells a Python %s from none', async (version, missing) => {
    const folder = makeTemporaryFolder();
    writeFileSync(path.join(folder, 'python3'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
    vi.stubEnv('PATH', folder);
    const found = await findPython().finally(() => vi.unstubAllEnvs());
    expect(found).toEqual({ missing });
  });

  it('finds an npm that runs', async () => {
    const { program, prefix } = await findNpm();
    expect(await runCommand(program, [...prefix, '--version'])).toMatchObject({ status: 0 });
  });

  it('gives the output of a program that is not there as a result', async () => {
    expect(await runCommand('rowtune-no-such-program', [])).toMatchObject({ status: -1, output: expect.stringContaining('ENOENT') });
  });

  it('points to the portable engine on other systems', () => {
    expect(() => requirePlatform('darwin', 'arm64')).toThrow(/engine: portable/);
    expect(() => requirePlatform('win32', 'x64')).toThrow(/engine: portable/);
    expect(() => requirePlatform('linux', 'x64')).not.toThrow();
  });
});

describe('what is not among our own packages', () => {
  const putPackage = (root: string, name: string, code: string): string => {
    const folder = path.join(root, 'node_modules', name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name, main: 'main.js' }));
    writeFileSync(path.join(folder, 'main.js'), code);
    return folder;
  };

  it('WebGPU is found in the cache folder', () => {
    const cacheDir = makeTemporaryFolder();
    expect(() => installedPackage(cacheDir, webgpuPackages, 'webgpu')).toThrow(/Cannot find module/);
    const folder = putPackage(optionalFolder(cacheDir, webgpuPackages), 'webgpu', '');
    expect(installedPackage(cacheDir, webgpuPackages, 'webgpu')).toBe(pathToFileURL(path.join(folder, 'main.js')).href);
  });

  it('a package in neither place fails with the reason of the first; then the cache folder has it', async () => {
    const place = { set: webgpuPackages, name: 'webgpu', cacheDir: makeTemporaryFolder() };
    const load = () => Promise.reject<{ readonly default: string }>(new Error('not next to Rowtune'));
    await expect(importOptional(place, load)).rejects.toThrow('not next to Rowtune');
    putPackage(optionalFolder(place.cacheDir, webgpuPackages), 'webgpu', "module.exports = 'cached';");
    expect((await importOptional(place, load)).default).toBe('cached');
    expect(await importOptional(place, () => Promise.resolve({ default: 'next to Rowtune' }))).toEqual({ default: 'next to Rowtune' });
  });

  it('the library for images must load before its folder counts as installed', () => {
    const { name, finish } = imagePackages;
    const root = makeTemporaryFolder();
    const [partial, folder] = [path.join(root, `.${name}.partial`), path.join(root, name)];
    for (const each of [partial, folder]) putPackage(each, 'sharp', "throw new Error('no binary');");
    expect(() => finish(partial)).toThrow(/does not load here \(no binary\)\. Try again/);
    expect(() => finish(folder)).toThrow(`Remove it with "rowtune engine remove ${name}", and install it again`);
    putPackage(folder, 'sharp', '');
    expect(() => finish(folder)).not.toThrow();
  });

  it('a clone has the library for images, so nothing is installed with an engine', async () => {
    const cacheDir = makeTemporaryFolder();
    const lines: string[] = [];
    await addImages({ cacheDir, log: line => lines.push(line) });
    expect(lines).toEqual([]);
    expect((await importSharp(cacheDir)).versions.sharp).toBe(imagePackages.packages.sharp);
  });

  it('the sources of the addon are first taken from the folder of the bundle', () => {
    const dist = makeTemporaryFolder();
    const { href } = pathToFileURL(path.join(dist, 'rowtune.js'));
    expect(() => resolveAddonSources(href)).toThrow(/neither in .*addon nor installed/);
    for (const part of ['binding', 'include', 'tensorflow', 'pjrt', 'ranks', 'coder'])
      mkdirSync(path.join(dist, 'addon', part), { recursive: true });
    expect(resolveAddonSources(href).binding).toBe(path.join(dist, 'addon', 'binding'));
    expect(resolveAddonSources().binding).toContain('tfjs-node-gpu');
  });
});

it('kernels of several versions lie next to each other, and only the oldest are removed', () => {
  const folder = makeTemporaryFolder();
  const addons = path.dirname(addonPath(folder));
  mkdirSync(addons, { recursive: true });
  for (const [i, version] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    const file = path.join(addons, `rowtune_fused-${version}.node`);
    writeFileSync(file, '');
    utimesSync(file, i + 1, i + 1);
  }
  writeFileSync(addonPath(folder), '');
  expect(kernelsAreCurrent(folder)).toBe(false);
  removeOldKernels(folder);
  expect(readdirSync(addons).sort()).toEqual(
    ['b', 'c', 'd', 'e'].map(version => `rowtune_fused-${version}.node`).concat('tfjs_binding.node'),
  );
  writeFileSync(kernelsPath(folder), '');
  expect(kernelsAreCurrent(folder)).toBe(true);
});
