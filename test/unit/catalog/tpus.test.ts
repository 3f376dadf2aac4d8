/** Tests that TPUs are found by the names that people write, and how a machine with several is described. */
import { expect, it } from 'vitest';
import { findCard } from '../../../trainer/catalog/cards.ts';
import { deviceCard, deviceText } from '../../../trainer/catalog/device-card.ts';
import { findTpu, paddedFor, tpuCatalog, tpuNames, tpuTopology } from '../../../trainer/catalog/tpus.ts';

it.each([
  ['TPU v5e', 'tpu-v5e'],
  ['tpu-v5e', 'tpu-v5e'],
  ['Cloud TPU v6e', 'tpu-v6e'],
  ['v5p', 'tpu-v5p'],
  ['TPU v4', 'tpu-v4'],
  ['v5litepod', 'tpu-v5e'],
  ['TPU v5 lite', 'tpu-v5e'],
  ['TPU v5', undefined],
  ['RTX 4090', undefined],
  ['toString', undefined],
])('%s is %s', (text, name) => expect(findTpu(text)).toBe(name));

it('no TPU has the name of a card', () => {
  for (const name of tpuNames) expect(findCard(tpuCatalog[name].label)).toHaveProperty('problem');
});

it('programs may use most of the memory of a TPU', () => {
  for (const name of tpuNames) {
    const { usableBytes, memoryGib } = tpuCatalog[name];
    expect(usableBytes / (memoryGib * 2 ** 30)).toBeGreaterThan(0.95);
    expect(usableBytes).toBeLessThan(memoryGib * 2 ** 30);
  }
});

it('a machine is a line of chips, in two or three dimensions', () => {
  expect(tpuTopology('tpu-v5e')).toBe('v5e:1x1');
  expect(tpuTopology('tpu-v5p', 4)).toBe('v5p:1x1x4');
});

it("products are padded for a GPU, and its model of buffers is not taken for a TPU's", () => {
  const tpu = deviceCard({ name: 'TPU v5 lite', memoryBytes: 16e9 });
  const gpu = deviceCard({ name: 'NVIDIA L4' });
  expect([paddedFor(tpu), paddedFor(gpu), paddedFor(undefined)]).toEqual([undefined, gpu, undefined]);
  expect(deviceText(tpu)).toMatch(/^TPU v5 lite: only its compiler knows its memory\. .* needs more$/);
});
