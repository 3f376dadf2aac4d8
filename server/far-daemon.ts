/** The daemon of the editor's settings, where it is on another machine. */
import { z } from 'zod';
import type { FarDaemon } from '../trainer/lint/recipe-view.ts';

const text = z.string().trim();
const settingsSchema = z.object({ rowtune: z.object({ daemon: z.object({ url: text, folder: text.optional() }) }) });

/** @param settings as an editor sends them, which may be anything */
export function readFarDaemon(settings: unknown): FarDaemon | undefined {
  const { url = '', folder } = settingsSchema.safeParse(settings).data?.rowtune.daemon ?? {};
  return url === '' ? undefined : { url, folder: folder || undefined };
}
