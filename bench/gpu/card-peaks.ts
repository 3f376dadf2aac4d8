/** The peak of a card's matrix products. The H100 and the H200 are the SXM boards. */
import { cardCatalog } from '../../trainer/catalog/cards.ts';
import { cardOfDevice } from '../../trainer/catalog/device-card.ts';

/** Returns the peak of the card in FLOP/s with its label; undefined for an unknown card. */
export function peakOfCard(deviceName: string): { readonly label: string; readonly flops: number } | undefined {
  const card = cardOfDevice(deviceName);
  return card && { label: cardCatalog[card].label, flops: cardCatalog[card].teraflops * 1e12 };
}
