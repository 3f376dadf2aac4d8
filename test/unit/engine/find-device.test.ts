/** Which accelerator is found, which PJRT plugin is taken for it, and what is said where none fits. */
import { describe, expect, it } from 'vitest';
import { choosePlugin, findDevice, type Surroundings } from '../../../trainer/engine/install/find-device.ts';
import { pjrtPlugins, pjrtVariants } from '../../../trainer/engine/install/pjrt-plugins.ts';

const machine = (changed: Partial<Surroundings> = {}): Surroundings => ({
  gpu: undefined,
  platform: 'linux x64',
  read: () => undefined,
  list: () => [],
  ...changed,
});

const nvidia = (driver: string) => machine({ gpu: { name: 'NVIDIA H100', driver } });
const amd = machine({ read: file => (file === '/dev/kfd' ? '' : undefined) });
const intel = machine({
  list: () => ['card0', 'renderD128'],
  read: file => (file === '/sys/class/drm/renderD128/device/vendor' ? '0x8086\n' : undefined),
});

describe('choosePlugin', () => {
  it.each([
    ['a driver of CUDA 13', nvidia('580.65.06'), 'cuda13'],
    ['a driver of CUDA 12', nvidia('550.127.05'), 'cuda12'],
    ['the oldest driver of CUDA 12', nvidia('525.60.13'), 'cuda12'],
    ['an AMD GPU', amd, 'rocm7'],
    ['an Intel GPU', intel, 'oneapi'],
    ['a Mac', machine({ platform: 'darwin arm64' }), 'metal'],
  ])('takes the plugin of %s', (_, around, variant) => {
    expect(choosePlugin(around).variant).toBe(variant);
  });

  it.each([
    ['nothing', machine(), /cuda13: no NVIDIA GPU was found.*rocm7: no AMD GPU.*oneapi: no Intel GPU.*--variant pjrt-cpu/],
    ['an old driver', nvidia('470.82.01'), /cuda12: NVIDIA H100 has driver 470\.82\.01, and 525 or later is needed/],
    ['a driver of unknown version', nvidia('unknown'), /version of the NVIDIA driver is unknown, and 580 or later/],
    ['a machine that no plugin is for', machine({ platform: 'win32 x64' }), /no plugin runs on win32 x64/],
  ])('says what it looked for where it finds %s', (_, around, message) => {
    expect(() => choosePlugin(around)).toThrow(message);
  });
});

describe('findDevice', () => {
  it('tells each plugin from the others', () => {
    const found = pjrtVariants.filter(variant => 'found' in findDevice(pjrtPlugins[variant], intel));
    expect(found).toEqual(['oneapi', 'pjrt-cpu']);
  });
});

describe('the table of plugins', () => {
  it.each(pjrtVariants)('names every wheel of %s once, with its checksum and size', variant => {
    const { wheel, compiler = [], runtime = [] } = pjrtPlugins[variant];
    const wheels = [wheel, ...compiler, ...runtime];
    expect(new Set(wheels.map(({ project }) => project)).size).toBe(wheels.length);
    for (const { sha256, bytes, version } of wheels) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(bytes).toBeGreaterThan(1e6);
      expect(version).toMatch(/^\d+(\.\d+)+$/);
    }
  });
});
