/** Turns the tags that a user typed into a change of a run's notes. */
import type { RunNotesChange } from '../../trainer/protocol/messages/rpc-messages.ts';

/** @param text the new tags, separated by commas */
export function tagsChange(before: readonly string[], text: string): RunNotesChange {
  const wanted = new Set(
    text
      .split(',')
      .map(tag => tag.trim())
      .filter(tag => tag !== ''),
  );
  return { addTags: [...wanted].filter(tag => !before.includes(tag)), removeTags: before.filter(tag => !wanted.has(tag)) };
}
