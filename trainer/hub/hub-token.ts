/** The user's token for the hub. */
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { codeOf } from '../protocol/error-facts.ts';

/** The token from the environment, or from a login with huggingface_hub; undefined if there is neither. */
export async function hubToken(fromEnvironment: string | undefined, tokenFile: string): Promise<string | undefined> {
  if (fromEnvironment !== undefined) return fromEnvironment;
  try {
    return (await readRegularText(tokenFile, MAX_STATE_BYTES)).trim() || undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
