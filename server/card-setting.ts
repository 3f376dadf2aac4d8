/** The card of the editor's settings, whose memory the hints are about. */
import { z } from 'zod';
import { type CardName, findCard } from '../trainer/catalog/cards.ts';

const settingsSchema = z.object({ rowtune: z.object({ card: z.string().trim() }) });

/** Undefined where none is chosen or known. @param settings as an editor sends them, which may be anything */
export function readCard(settings: unknown): CardName | undefined {
  const { card: name = '' } = settingsSchema.safeParse(settings).data?.rowtune ?? {};
  const found = name === '' ? undefined : findCard(name);
  return found !== undefined && 'card' in found ? found.card : undefined;
}
