/** Properties of a thrown value, which need not be an error. */
import { TEMPORARY_ENDING } from './temporary-ending.ts';

/** Returns the message of an error, without code and system call if it is one of the operating system; or the value as text. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts = SYSTEM_MESSAGE.exec(error.message)?.groups;
  if (!parts || codeOf(error) !== parts.code) return error.message;
  const file = (parts.to ?? parts.path)?.replace(TEMPORARY_NAME, '');
  return file === undefined ? `${parts.what}` : `${parts.what}: ${file}`;
}

/** Node's message of a failed call, such as "EACCES: permission denied, rename '/a' -> '/b'". */
const SYSTEM_MESSAGE = /^(?<code>E[A-Z0-9]+): (?<what>[^,]+), [a-z]+(?: '(?<path>.*?)'(?: -> '(?<to>.*)')?)?$/s;

/** The end of the name under which a file is written before it is renamed. */
const TEMPORARY_NAME = new RegExp(`${TEMPORARY_ENDING}$`);

/** Returns the code of an error of the operating system, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
