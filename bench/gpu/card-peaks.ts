/**
 * Dense bfloat16 products with float32 sums, in TFLOP/s, from NVIDIA's data sheets and architecture papers (half of the rate "with
 * sparsity"). For GeForce cards, twice their float32 rate. The H100 and the H200 are the SXM boards.
 */
import { type CardName, cardCatalog } from '../../trainer/catalog/cards.ts';
import { cardOfDevice } from '../../trainer/catalog/device-card.ts';

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

/** Returns the peak of the card in FLOP/s with its label; undefined for a card without an entry. */
export function peakOfCard(deviceName: string): { readonly label: string; readonly flops: number } | undefined {
  const card = cardOfDevice(deviceName);
  return card && { label: cardCatalog[card].label, flops: PEAK_TFLOPS[card] * 1e12 };
}
