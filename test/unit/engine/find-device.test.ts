/** Tests which accelerator is found, which PJRT plugin is chosen for it, and the message if none fits. */
import { describe, expect, it } from 'vitest';
import { choosePlugin, findDevice, type Surroundings } from '../../../trainer/engine/install/find-device.ts';
import { pjrtPlugins, pjrtVariants } from '../../../trainer/engine/install/pjrt-plugins.ts';
import { freeOf, gpuOf, gpuOfDriver } from '../../../trainer/engine/install/toolchain.ts';

const machine = (changed: Partial<Surroundings> = {}): Surroundings => ({
  gpu: undefined,
  platform: 'linux x64',
  read: () => undefined,
  list: () => [],
  ...changed,
});

const nvidia = (driver: string) => machine({ gpu: { name: 'NVIDIA H100', driver } });
const volta = (driver: string) => machine({ gpu: { name: 'Tesla V100-SXM2-16GB', driver, capability: '7.0' } });
const amd = machine({ read: file => (file === '/dev/kfd' ? '' : undefined) });
const intel = machine({
  list: () => ['card0', 'renderD128'],
  read: file => (file === '/sys/class/drm/renderD128/device/vendor' ? '0x8086\n' : undefined),
});

/** A machine with devices of Google's on its bus. */
const google = (...devices: string[]) =>
  machine({
    list: folder => (folder === '/sys/bus/pci/devices' ? devices.map((_, i) => `0000:00:0${i}.0`) : []),
    read: file => {
      const [, at = '', fact = ''] = /:0(\d)\.0\/(vendor|device)$/.exec(file) ?? [];
      return fact === 'vendor' ? '0x1ae0\n' : fact === 'device' ? `${devices[Number(at)]}\n` : undefined;
    },
  });
/** A network adapter of Google's cloud. */
const ADAPTER = '0x0042';

describe('choosePlugin', () => {
  it.each([
    ['a driver of CUDA 13', nvidia('580.65.06'), 'cuda13'],
    ['a driver of CUDA 12', nvidia('550.127.05'), 'cuda12'],
    ['the oldest driver of CUDA 12', nvidia('525.60.13'), 'cuda12'],
    ['a GPU that CUDA 13 has left, with a driver of CUDA 13', volta('580.65.06'), 'cuda12'],
    ['an AMD GPU', amd, 'rocm7'],
    ['an Intel GPU', intel, 'oneapi'],
    ['four chips of a TPU v5e', google(ADAPTER, '0x0063', '0x0063', '0x0063', '0x0063'), 'tpu'],
    ['a Mac', machine({ platform: 'darwin arm64' }), 'metal'],
  ])('takes the plugin of %s', (_, around, variant) => {
    expect(choosePlugin(around).variant).toBe(variant);
  });

  it.each([
    [
      'nothing',
      machine(),
      /cuda13: no NVIDIA GPU was found.*rocm7: no AMD GPU.*oneapi: no Intel GPU.*tpu: no TPU was found.*--variant pjrt-cpu/,
    ],
    ["only a network adapter of Google's", google(ADAPTER), /tpu: no TPU was found/],
    ['an old driver', nvidia('470.82.01'), /cuda12: NVIDIA H100 has driver 470\.82\.01, and 525 or later is needed/],
    [
      'an old GPU and an old driver',
      volta('470.82.01'),
      /cuda13: Tesla V100-SXM2-16GB has driver 470\.82\.01, and 580 .*cuda12: .*and 525/,
    ],
    ['a driver of unknown version', nvidia('unknown'), /version of the NVIDIA driver is unknown, and 580 or later/],
    ['a machine that no plugin is for', machine({ platform: 'win32 x64' }), /no plugin runs on win32 x64/],
  ])('says what it looked for where it finds %s', (_, around, message) => {
    expect(() => choosePlugin(around)).toThrow(message);
  });
});

describe('findDevice', () => {
  it('says that a GPU is too old for a plugin', () => {
    expect(findDevice(pjrtPlugins.cuda13, volta('580.65.06'))).toEqual({
      missing: 'Tesla V100-SXM2-16GB has compute capability 7.0, and 7.5 or later is needed',
    });
  });

  it.each([
    [['0x0063'], 'a TPU v5e'],
    [['0x006f', ADAPTER, '0x006f'], '2 TPU v6e'],
  ])('counts the chips of %j', (devices, found) => {
    expect(findDevice(pjrtPlugins.tpu, google(...devices))).toEqual({ found });
  });

  it('tells each plugin from the others', () => {
    const found = pjrtVariants.filter(variant => 'found' in findDevice(pjrtPlugins[variant], intel));
    expect(found).toEqual(['oneapi', 'pjrt-cpu']);
  });
});

describe("the first of NVIDIA's GPUs", () => {
  it.each([
    [
      'NVIDIA H100 80GB HBM3, 580.65.06, 81000, 9.0\nNVIDIA L4, 580.65.06, 22000, 8.9\n',
      { name: 'NVIDIA H100 80GB HBM3', driver: '580.65.06', freeBytes: 81000 * 2 ** 20, capability: '9.0' },
    ],
    ['NVIDIA GB10, 580.95.05, [N/A], 12.1', { name: 'NVIDIA GB10', driver: '580.95.05', freeBytes: undefined, capability: '12.1' }],
    ['Tesla K80, 470.82.01, 11000', { name: 'Tesla K80', driver: '470.82.01', freeBytes: 11000 * 2 ** 20 }],
    ['No devices were found', undefined],
    ['', undefined],
  ])('is read from %j', (output, gpu) => expect(gpuOf({ status: 0, output })).toEqual(gpu));

  it('is none where nvidia-smi fails', () => expect(gpuOf({ status: 9, output: 'NVIDIA H100, 580.65.06, 1, 9.0' })).toBeUndefined());

  it.each([
    [
      'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)\nGCC version: gcc 12.3.0\n',
      '580.65.06',
    ],
    ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n', '535.183.01'],
    ['NVRM version: something else\n', 'unknown'],
  ])("has the driver of the driver's file: %j", (text, driver) => expect(gpuOfDriver(text)).toEqual({ name: 'NVIDIA GPU', driver }));
});

describe('the free memory of the GPU that computes', () => {
  it.each([
    ['NVIDIA L4, 22000\n', 'NVIDIA L4', 22000 * 2 ** 20],
    ['NVIDIA L4, 0\n', 'NVIDIA L4', 0],
    ['NVIDIA L4, 22000\nNVIDIA L4, 21000\n', 'NVIDIA L4', undefined],
    ['NVIDIA L4, 22000\n', 'AMD Instinct MI300X', undefined],
    ['NVIDIA A100-SXM4-40GB, 39000\n', 'NVIDIA A100-SXM4-40GB MIG 1g.5gb', undefined],
    ['NVIDIA GB10, [N/A]\n', 'NVIDIA GB10', undefined],
    ['No devices were found\n', 'NVIDIA L4', undefined],
  ])('is read from %j for %s', (output, name, bytes) => expect(freeOf({ status: 0, output }, name)).toBe(bytes));

  it('is unknown where nvidia-smi fails', () => expect(freeOf({ status: 9, output: 'NVIDIA L4, 1' }, 'NVIDIA L4')).toBeUndefined());
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
