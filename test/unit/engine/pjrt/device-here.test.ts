/**
 * Tests the device of a machine: what an earlier run stored about its GPU, what the driver's files say, and what the CUDA plugin says about
 * a card.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cardCatalog, cardOfEachGeneration } from '../../../../trainer/catalog/cards.ts';
import { deviceCard } from '../../../../trainer/catalog/device-card.ts';
import { deviceHere } from '../../../../trainer/engine/device-here.ts';
import { freeOnDevice } from '../../../../trainer/engine/free-on-device.ts';
import { engineRequire, enginesFolder } from '../../../../trainer/engine/install/engine-folder.ts';
import {
  locateCardCompiler,
  locatePjrt,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
  pjrtName,
} from '../../../../trainer/engine/install/pjrt-folder.ts';
import { pjrtPlugins } from '../../../../trainer/engine/install/pjrt-plugins.ts';
import type { Addon } from '../../../../trainer/engine/pjrt/addon.ts';
import { describeCard } from '../../../../trainer/engine/pjrt/card-description.ts';
import { pluginOf } from '../../../../trainer/engine/pjrt/compiled-memory.ts';
import { factsOfDevice, keepDeviceFacts, keptDeviceFacts } from '../../../../trainer/engine/pjrt/device-facts.ts';
import { openPjrt } from '../../../../trainer/engine/pjrt/engine.ts';
import { openProgramCache } from '../../../../trainer/engine/pjrt/program-cache.ts';
import { gpuName, hasGpu } from '../../../../trainer/machine/machine.ts';
import { runMemory } from '../../../../trainer/machine/run-memory.ts';
import { required } from '../../../../trainer/narrow.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'rowtune-device-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const withGpu = (name?: string) => ({ hasGpu: () => true, gpuName: () => name });

describe('by the files of the driver', () => {
  it('is a card by its name, or one that is assumed', () => {
    expect(deviceHere('pjrt', scratch, withGpu('NVIDIA L4'))).toEqual({ device: 'gpu', gpu: deviceCard({ name: 'NVIDIA L4' }) });
    expect(deviceHere('pjrt', scratch, withGpu()).gpu?.assumed).toMatch(/has not given its name/);
  });

  it('is the processor without a GPU, and has no numbers where no estimate asks for them', () => {
    expect(deviceHere('pjrt', scratch, { hasGpu: () => false, gpuName: () => 'NVIDIA L4' })).toEqual({ device: 'cpu' });
    expect(deviceHere('tensorflow', scratch, withGpu('NVIDIA L4'))).toEqual({ device: 'gpu' });
  });

  it("is another vendor's GPU where its plugin is installed", () => {
    const cache = path.join(scratch, 'amd');
    const folder = path.join(enginesFolder(cache), pjrtName('rocm7'));
    const { library, wheel } = pjrtPlugins.rocm7;
    mkdirSync(path.dirname(path.join(folder, 'runtime', library)), { recursive: true });
    writeFileSync(path.join(folder, 'runtime', library), '');
    const manifest = {
      format: 1,
      variant: 'rocm7',
      version: wheel.version,
      wheel: { name: library, sha256: wheel.sha256 },
      installedAt: '',
    };
    writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(manifest));
    const found = deviceHere('pjrt', cache, { hasGpu: () => false, gpuName: () => undefined });
    expect(found).toMatchObject({ device: 'gpu', gpu: { assumed: expect.stringContaining('has not given its name') } });
  });

  it('is looked for by the files of the driver of Linux, or of Windows below it', () => {
    const driver = path.join(scratch, 'libcuda.so.1');
    expect(hasGpu([path.join(scratch, 'version'), driver])).toBe(false);
    writeFileSync(driver, '');
    expect(hasGpu([path.join(scratch, 'version'), driver])).toBe(true);
  });

  it('has its name from the first GPU', () => {
    const folder = path.join(scratch, 'gpus');
    expect(gpuName(folder)).toBeUndefined();
    for (const [bus, model] of [
      ['0000:41:00.0', 'NVIDIA RTX A6000'],
      ['0000:01:00.0', 'NVIDIA GeForce RTX 4090'],
    ] as const) {
      mkdirSync(path.join(folder, bus), { recursive: true });
      writeFileSync(path.join(folder, bus, 'information'), `Model: \t\t ${model}\nIRQ:   \t\t 196\nGPU UUID: \t GPU-0\n`);
    }
    expect(gpuName(folder)).toBe('NVIDIA GeForce RTX 4090');
  });
});

it('takes the memory of the GPU where it is known, else half of what is free', () => {
  const gpu = deviceCard({ name: 'NVIDIA L4', memoryBytes: 17e9 });
  expect(runMemory({ device: 'gpu', gpu }, 8e9)).toEqual({ availableBytes: 17e9, usableBytes: 17e9, isPerDevice: true });
  expect(runMemory({ device: 'gpu', gpu: deviceCard({ name: 'other' }) }, 8e9)).toEqual({
    availableBytes: 8e9,
    usableBytes: 4e9,
    isPerDevice: false,
  });
  expect(runMemory({ device: 'cpu' }, 8e9)).toEqual({ availableBytes: 8e9, usableBytes: 4e9, isPerDevice: false });
});

it('leaves a run what other programs have left of the GPU', async () => {
  const gpu = deviceCard({ name: 'NVIDIA L4', memoryBytes: 17e9 });
  const engine = { description: { gpu }, deviceMemory: () => ({ used: 2e9, pool: 3e9 }) };
  const withFree = (free: number | undefined) => freeOnDevice(engine, async name => (name === gpu.name ? free : expect.fail(name)));
  expect(await withFree(undefined)).toBe(15e9);
  expect(await withFree(20e9)).toBe(15e9);
  // One gigabyte of the memory in use according to the driver is the engine's, and counts as free.
  expect(await withFree(6e9)).toBe(7e9);
  expect(await freeOnDevice({ ...engine, deviceMemory: () => undefined }, async () => 6e9)).toBe(6e9);
  expect(await freeOnDevice({ ...engine, description: {} }, async () => 6e9)).toBeUndefined();
});

const installed = locatePjrt(cacheDir);
describeWith(
  'the CPU plugin',
  installed?.plugin.device === 'cpu' && pjrtAddonIsCurrent(installed.folder) ? installed : undefined,
  'rowtune engine install --variant pjrt-cpu',
  plugin => {
    it('computes on the processor, also on a machine with a GPU', async () => {
      expect(deviceHere('pjrt', cacheDir, withGpu('NVIDIA L4'))).toEqual({ device: 'cpu' });
      const { description, device } = await openPjrt({ cacheDir });
      expect(description.device).toBe('cpu');
      expect(description.gpu).toBeUndefined();
      expect(device.addon.describe(device.client).device.kind).toBe('cpu');
      expect(keptDeviceFacts(cacheDir)).toBeUndefined();
    });

    it('finds what a run has kept', async () => {
      const folder = path.join(scratch, 'cache');
      mkdirSync(folder);
      symlinkSync(enginesFolder(cacheDir), enginesFolder(folder), 'junction');
      expect(keptDeviceFacts(folder)).toBeUndefined();
      const facts = { name: 'NVIDIA RTX A6000', capability: '8.6', multiprocessors: 84, memoryBytes: 36e9 };
      await keepDeviceFacts(openProgramCache(folder), pluginOf(plugin), facts);
      expect(keptDeviceFacts(folder)).toEqual(facts);
    });
  },
);

const compiling = locateCardCompiler(cacheDir, 'nvidia');
describeWith(
  'the CUDA plugin',
  compiling && pjrtAddonIsCurrent(compiling.folder) ? compiling : undefined,
  'rowtune engine install --variant cuda13 --compile-only',
  plugin => {
    it.each(cardOfEachGeneration)('says the compute capability and the multiprocessors of an %s', async card => {
      // Compiled from `engine/pjrt/native`; `Addon` is what it exports.
      const addon = engineRequire(plugin.folder)(pjrtAddonPath(plugin.folder)) as Addon;
      const topology = await addon.describeDevice(pjrtLibrary(plugin), card, [
        ['topology', '1x1x1'],
        ['target_config', describeCard(card)],
      ]);
      const device = addon.describedDevice(topology);
      const { capability, multiprocessors } = required(cardCatalog[card], card);
      expect(factsOfDevice({ device }, undefined)).toMatchObject({ capability, multiprocessors });
      expect(device.kind).toContain(cardCatalog[card].label);
      addon.closeTopology(topology);
    });
  },
);
