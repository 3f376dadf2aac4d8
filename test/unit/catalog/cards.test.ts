/** Tests that cards are found by the names that people write. */
import { describe, expect, it } from 'vitest';
import { cardBytes, cardNames, fillingRows, findCard, usableCardBytes } from '../../../trainer/catalog/cards.ts';

describe('findCard', () => {
  it.each([
    ['RTX 4090', 'rtx-4090'],
    ['rtx-4090', 'rtx-4090'],
    ['4090', 'rtx-4090'],
    ['NVIDIA GeForce RTX 4090', 'rtx-4090'],
    ['H100', 'h100'],
    ['a100 80gb', 'a100'],
    ['A100-40', 'a100-40'],
    ['RTX 3060', 'rtx-3060'],
    ['rtx 3060 12 GB', 'rtx-3060'],
    ['AMD Radeon RX 7900 XTX', 'rx-7900-xtx'],
    ['9070 XT', 'rx-9070-xt'],
    ['R9700', 'r9700'],
    ['Radeon AI PRO R9700', 'r9700'],
    ['radeon 8060s', 'radeon-8060s'],
    ['Instinct MI300X', 'mi300x'],
  ])('finds %s', (text, card) => {
    expect(findCard(text)).toEqual({ card });
  });

  it('suggests the nearest name for an unknown card', () => {
    expect(findCard('RTX 4095')).toEqual({
      problem: expect.stringMatching(/no card named 'RTX 4095'.*Did you mean 'RTX 4090'\?.*H100 80 GB/),
    });
    expect(findCard('toaster')).toEqual({ problem: expect.stringMatching(/^no card named 'toaster' is known\. Known cards: /) });
  });
});

it('every card has less usable memory than its total', () => {
  for (const name of cardNames) {
    expect(usableCardBytes(name)).toBeLessThan(cardBytes(name));
    expect(cardBytes(name)).toBeGreaterThanOrEqual(12 * 2 ** 30);
  }
});

it.each([
  ['rtx-3090', 128],
  ['a100', 256],
  ['h100', 384],
  ['l4', 512],
] as const)('a product of the %s is limited by arithmetic from %i rows', (card, rows) => {
  expect(fillingRows(card)).toBe(rows);
});
