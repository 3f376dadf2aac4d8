/** The card in the editor's settings, whose memory the hints refer to. */
import { z } from 'zod';
import { type CardName, findCard } from '../trainer/catalog/cards.ts';

const settingsSchema = z.object({ rowtune: z.object({ card: z.string().trim() }) });

/** Returns undefined if no card, or an unknown one, is chosen. @param settings from the editor, of any type */
export function readCard(settings: unknown): CardName | undefined {
  const { card: name = '' } = settingsSchema.safeParse(settings).data?.rowtune ?? {};
  const found = name === '' ? undefined : findCard(name);
  return found !== undefined && 'card' in found ? found.card : undefined;
}
