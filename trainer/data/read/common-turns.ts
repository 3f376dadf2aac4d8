/** Compares the turns of two chats. */
import { isRecord } from '../../narrow.ts';

/** ShareGPT's key names, or the common ones. */
export const turnNames = (turns: unknown): { readonly role: string; readonly content: string } =>
  Array.isArray(turns) && isRecord(turns[0]) && Object.hasOwn(turns[0], 'from')
    ? { role: 'from', content: 'value' }
    : { role: 'role', content: 'content' };

export const sameTurn = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The turns that both lists begin with, without their last turns, which are answers. */
export function commonTurns<Turn>(a: readonly Turn[], b: readonly Turn[]): readonly Turn[] {
  let count = 0;
  while (count < Math.min(a.length, b.length) - 1 && sameTurn(a[count], b[count])) count++;
  return a.slice(0, count);
}
