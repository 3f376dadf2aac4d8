/** Tests devices by the names of NVIDIA's driver, from its list of supported products (README of NVIDIA/open-gpu-kernel-modules). */
import { expect, it } from 'vitest';
import { type CardName, cardCatalog } from '../../../trainer/catalog/cards.ts';
import { cardOfDevice, deviceCard, deviceText } from '../../../trainer/catalog/device-card.ts';

it.each([
  ['NVIDIA GeForce RTX 3060', 'rtx-3060'],
  ['NVIDIA GeForce RTX 4060 Ti', 'rtx-4060-ti'],
  ['NVIDIA GeForce RTX 3090', 'rtx-3090'],
  ['GeForce RTX 3090', 'rtx-3090'],
  ['NVIDIA GeForce RTX 4090', 'rtx-4090'],
  ['NVIDIA GeForce RTX 5090', 'rtx-5090'],
  ['NVIDIA L4', 'l4'],
  ['NVIDIA L40S', 'l40s'],
  ['NVIDIA A100-SXM4-40GB', 'a100-40'],
  ['NVIDIA A100-PCIE-40GB', 'a100-40'],
  ['NVIDIA A100-SXM4-80GB', 'a100'],
  ['NVIDIA A100 80GB PCIe', 'a100'],
  ['NVIDIA H100 80GB HBM3', 'h100'],
  ['NVIDIA H200', 'h200'],
  ['NVIDIA B200', 'b200'],
  ['AMD Radeon RX 7900 XTX', 'rx-7900-xtx'],
  ['Radeon RX 9070 XT', 'rx-9070-xt'],
  ['AMD Instinct MI300X', 'mi300x'],
] as const)('%s is the card %s', (name, card) => expect(cardOfDevice(name)).toBe(card));

it.each([
  // Fewer multiprocessors, or less memory, than the catalog's card with the same prefix.
  'NVIDIA GeForce RTX 3060 Ti',
  'NVIDIA GeForce RTX 3060 Laptop GPU',
  'NVIDIA GeForce RTX 4090 D',
  'NVIDIA GeForce RTX 4090 Laptop GPU',
  'NVIDIA A100-SXM4-40GB MIG 1g.5gb',
  'NVIDIA A100-SXM-64GB',
  'NVIDIA H100 PCIe',
  'NVIDIA H100 NVL',
  'NVIDIA L40',
  'NVIDIA A10',
  'NVIDIA RTX A6000',
  'NVIDIA GB200',
  'NVIDIA GPU',
  '',
])('%j is none of the cards', name => expect(cardOfDevice(name)).toBeUndefined());

it('has the numbers of the card with its name, and its memory without what every card reserves', () => {
  const { multiprocessors, capability, memoryGib } = cardCatalog['rtx-4090'];
  const found = deviceCard({ name: 'NVIDIA GeForce RTX 4090' });
  expect(found).toEqual({
    name: 'NVIDIA GeForce RTX 4090',
    card: 'rtx-4090',
    multiprocessors,
    capability,
    memoryBytes: (memoryGib - 1) * 2 ** 30,
  });
  expect(deviceText(found)).toBe('NVIDIA GeForce RTX 4090: 128 multiprocessors, compute capability 8.9');
});

it.each(['rtx-3060', 'rtx-4060-ti'] satisfies CardName[])('does not guess the memory of an %s, which has boards of several sizes', card => {
  const [label = ''] = /^RTX \d+( Ti)?/.exec(cardCatalog[card].label) ?? [];
  expect(deviceCard({ name: `NVIDIA GeForce ${label}` })).toMatchObject({ card, multiprocessors: cardCatalog[card].multiprocessors });
  expect(deviceCard({ name: `NVIDIA GeForce ${label}` }).memoryBytes).toBeUndefined();
});

it('uses the numbers that the device reports, whatever its name', () => {
  const memoryBytes = 36e9;
  expect(deviceCard({ name: 'NVIDIA RTX A6000', capability: '8.6', multiprocessors: 84, memoryBytes })).toEqual({
    name: 'NVIDIA RTX A6000',
    multiprocessors: 84,
    capability: '8.6',
    memoryBytes,
  });
  expect(deviceCard({ name: 'NVIDIA A100-SXM4-80GB', capability: '8.0', multiprocessors: 98, memoryBytes })).toMatchObject({
    card: 'a100',
    multiprocessors: 98,
    memoryBytes,
  });
});

it('assumes nothing of a target that AMD writes with its features', () => {
  const found = deviceCard({ name: 'AMD Instinct MI300A', capability: 'gfx942:sramecc+:xnack-', multiprocessors: 228 });
  expect(found).toEqual({ name: 'AMD Instinct MI300A', capability: 'gfx942', multiprocessors: 228 });
});

it.each([
  [
    { name: 'NVIDIA RTX A6000' },
    'NVIDIA RTX A6000 is not among the known cards: its memory is estimated with 132 multiprocessors and compute capability 9.0, those of an H100 80 GB',
  ],
  [
    { name: '' },
    'The GPU of this machine has not given its name: its memory is estimated with 132 multiprocessors and compute capability 9.0, those of an H100 80 GB',
  ],
  [
    { name: 'AMD Radeon RX 580', capability: 'gfx803', multiprocessors: 36 },
    'AMD Radeon RX 580 is not among the known cards: its memory is estimated with compute capability 9.0, those of an H100 80 GB',
  ],
  [
    { name: 'AMD Radeon RX 7800 XT', capability: 'gfx1101', multiprocessors: 30 },
    'AMD Radeon RX 7800 XT is not among the known cards: its compute capability, gfx1101, counts as gfx1100, the nearest whose numbers are known',
  ],
  [
    { name: 'AMD Instinct MI250X', capability: 'gfx90a:sramecc+:xnack-', multiprocessors: 110 },
    'AMD Instinct MI250X is not among the known cards: its compute capability, gfx90a:sramecc+:xnack-, counts as gfx942, the nearest whose numbers are known',
  ],
  [
    { name: 'Tesla T4', capability: '7.5', multiprocessors: 40 },
    'Tesla T4 is not among the known cards: its compute capability, 7.5, counts as 8.0, the nearest whose numbers are known',
  ],
  [
    { name: 'NVIDIA B300', capability: '10.3', multiprocessors: 148 },
    'NVIDIA B300 is not among the known cards: its compute capability, 10.3, counts as 10.0, the nearest whose numbers are known',
  ],
] as const)('says what is assumed of %j', (facts, assumed) => {
  const found = deviceCard(facts);
  expect(found.assumed).toBe(assumed);
  expect(deviceText(found)).toContain(`. ${assumed}`);
});
