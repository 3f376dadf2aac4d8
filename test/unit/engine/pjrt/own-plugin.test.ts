/** Tests that a plugin among Python's packages is opened like an installed one: its options, its libraries, its compiler. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { enginesFolder } from '../../../../trainer/engine/install/engine-folder.ts';
import {
  cudaToolkit,
  type InstalledPjrt,
  listPjrt,
  OWN_PLUGIN,
  ownPluginName,
  pjrtLibrary,
  preloadedLibraries,
} from '../../../../trainer/engine/install/pjrt-folder.ts';
import { clientOptions, pjrtPlugins } from '../../../../trainer/engine/install/pjrt-plugins.ts';
import { pluginOf } from '../../../../trainer/engine/pjrt/compiled-memory.ts';
import { required } from '../../../../trainer/narrow.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

/** Creates an installation from the path of a library, with these files among the packages. */
function installed(plugin: string, files: readonly string[] = []): { readonly own: InstalledPjrt; readonly packages: string } {
  const packages = path.join(makeTemporaryFolder(), 'site-packages');
  for (const file of [plugin, ...files]) {
    mkdirSync(path.dirname(path.join(packages, file)), { recursive: true });
    writeFileSync(path.join(packages, file), file);
  }
  const library = path.join(packages, plugin);
  const cacheDir = makeTemporaryFolder();
  const folder = path.join(enginesFolder(cacheDir), ownPluginName(library));
  mkdirSync(folder, { recursive: true });
  const manifest = { format: 1, variant: OWN_PLUGIN, version: 'abcd', wheel: { name: path.basename(library), sha256: 'abcd' }, library };
  writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify({ ...manifest, others: [], isCompileOnly: false, installedAt: '' }));
  return { own: required(listPjrt(cacheDir)[0], 'the installed plugin'), packages };
}

it.each(['cuda13', 'cuda12', 'rocm7', 'oneapi'] as const)('takes the memory of a GPU as it is needed: %s', variant => {
  const { own } = installed(pjrtPlugins[variant].library);
  expect(clientOptions(own.plugin, 1)).toEqual(clientOptions(pjrtPlugins[variant], 1));
  expect(clientOptions(own.plugin, 1)).toContainEqual(['preallocate', 'flag', 0]);
  expect(own.plugin).toMatchObject({ device: pjrtPlugins[variant].device, tunes: true });
});

it('divides a processor into as many devices as it is asked for', () => {
  const { own } = installed(pjrtPlugins['pjrt-cpu'].library);
  expect(clientOptions(own.plugin, 3)).toEqual([['cpu_device_count', 'integer', 3]]);
});

it("finds NVIDIA's libraries and compiler among the same packages, those of its own CUDA", () => {
  const thirteen = ['nvidia/cu13/lib/libcudart.so.13', 'nvidia/cudnn/lib/libcudnn.so.9', 'nvidia/cu13/bin/ptxas'];
  const twelve = ['nvidia/cublas/lib/libcublas.so.12', 'nvidia/cuda_nvcc/bin/ptxas'];
  const { own, packages } = installed(pjrtPlugins.cuda13.library, [...thirteen, ...twelve]);
  expect(preloadedLibraries(own)).toEqual(thirteen.slice(0, 2).map(file => path.join(packages, file)));
  expect(cudaToolkit(own)).toBe(path.join(packages, 'nvidia/cu13'));
});

it('has programs of its own for other libraries', () => {
  const { own, packages } = installed(pjrtPlugins.cuda13.library, ['nvidia/cu13/lib/libcublasLt.so.13']);
  const before = pluginOf(own);
  writeFileSync(path.join(packages, 'nvidia/cu13/lib/libcublasLt.so.13'), 'another version');
  expect(pluginOf(own)).not.toBe(before);
});

it.each([
  ['libtpu/libtpu.so', 'google'],
  ['mine/libpjrt.so', 'any'],
])('gives %s no options', (library, device) => {
  const { own, packages } = installed(library);
  expect(pjrtLibrary(own)).toBe(path.join(packages, library));
  expect([clientOptions(own.plugin, 1), preloadedLibraries(own), cudaToolkit(own)]).toEqual([[], [], undefined]);
  expect([own.plugin.device, own.plugin.tunes]).toEqual([device, undefined]);
});
