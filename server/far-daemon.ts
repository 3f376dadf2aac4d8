/** The remote daemon in the editor's settings. */
import { z } from 'zod';
import type { FarDaemon } from '../trainer/lint/recipe-view.ts';

const text = z.string().trim();
const settingsSchema = z.object({ rowtune: z.object({ daemon: z.object({ url: text, folder: text.optional() }) }) });

/** Reads the setting. @param settings from the editor, of any type */
export function readFarDaemon(settings: unknown): FarDaemon | undefined {
  const { url = '', folder } = settingsSchema.safeParse(settings).data?.rowtune.daemon ?? {};
  return url === '' ? undefined : { url, folder: folder || undefined };
}
