/** Determines from config.json alone whether a model writes text, because menus cannot wait for its headers. */
import { classWritesText } from '../../trainer/catalog/objectives.ts';
import { MAX_STATE_BYTES, readRegularText } from '../../trainer/files/regular-file.ts';

/** Returns false if the file can't be read. */
export async function configWritesText(file: string): Promise<boolean> {
  try {
    const config: unknown = JSON.parse(await readRegularText(file, MAX_STATE_BYTES));
    const architectures = typeof config === 'object' && config !== null && 'architectures' in config ? config.architectures : undefined;
    return Array.isArray(architectures) && typeof architectures[0] === 'string' && classWritesText(architectures[0]);
  } catch {
    return false;
  }
}
