/** Renders parts of a chat; errors name the sample. */

import { messageOf } from '../../protocol/error-facts.ts';
import { DataError } from '../data-error.ts';
import type { Conversation, RenderedChat } from '../types.ts';
import type { ChatText } from './check-chat.ts';

/** A stretch of a text: start and end offset. */
export type Span = readonly [from: number, to: number];

/** A character that no chat contains. */
export const MARK = '\u{F8FF}';

/** Renders the first `count` turns. @throws DataError if the template refuses them */
export function render(chat: Conversation, count: number, addGenerationPrompt: boolean, { renderer, place }: ChatText): RenderedChat {
  try {
    return renderer.render({ ...chat, messages: chat.messages.slice(0, count) }, { addGenerationPrompt });
  } catch (cause) {
    const advice = 'Write the turns as the template takes them, take a model with another template, or remove the sample';
    throw new DataError({ ...place, problem: messageOf(cause), advice }, { cause });
  }
}
