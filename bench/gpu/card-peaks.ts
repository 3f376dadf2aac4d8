/**
 * bfloat16 products with float32 sums, dense, in TFLOP/s: NVIDIA's data sheets and architecture papers (half of the rate that they give
 * "with sparsity"); of the GeForce cards twice their float32 rate. The H100's and the H200's are those of the SXM boards.
 */
import { type CardName, cardCatalog, cardNames } from '../../trainer/catalog/cards.ts';

const PEAK_TFLOPS: Readonly<Record<CardName, number>> = {
  'rtx-3060': 25.5,
  'rtx-4060-ti': 44.1,
  'rtx-3090': 71,
  'rtx-4090': 165.2,
  'rtx-5090': 209.5,
  l4: 121,
  l40s: 362,
  'a100-40': 312,
  a100: 312,
  h100: 989,
  h200: 989,
  b200: 2250,
};

const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The card that a driver's name means, for example "NVIDIA H100 80GB HBM3": the entry with the longest name that is a part of it. */
export function cardOf(deviceName: string): CardName | undefined {
  const name = plain(deviceName);
  return cardNames.filter(card => name.includes(plain(card))).sort((a, b) => b.length - a.length)[0];
}

/** The peak of the card in FLOP/s, with its label; undefined for a card without an entry. */
export function peakOfCard(deviceName: string): { readonly label: string; readonly flops: number } | undefined {
  const card = cardOf(deviceName);
  return card && { label: cardCatalog[card].label, flops: PEAK_TFLOPS[card] * 1e12 };
}
