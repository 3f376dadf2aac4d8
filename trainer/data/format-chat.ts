/** A chat as pieces of text: the model's own template, of which only the assistant's turns are trained. */
import type { DataPlace } from './data-error.ts';
import { DataError } from './data-error.ts';
import type { ChatMessage, Piece, RenderChat } from './types.ts';

/**
 * Renders the chat and marks as trained what the model itself has to write: each assistant turn from where the generation prompt
 * ends up to its end-of-turn token; what the template puts after that token (a line break) is context only.
 * Throws DataError where the template does not render a chat as a continuation of its beginning, so that no such place exists.
 */
export function chatPieces(messages: readonly ChatMessage[], renderChat: RenderChat, place: DataPlace): Piece[] {
  const whole = render(messages, false, renderChat, place);
  const pieces: Piece[] = [];
  let done = 0;
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'assistant') continue;
    const before = render(messages.slice(0, index), true, renderChat, place);
    const after = index === messages.length - 1 ? whole : render(messages.slice(0, index + 1), false, renderChat, place);
    if (!after.startsWith(before) || !whole.startsWith(after) || before.length < done) throw notIncremental(place, index);
    const end = after.length - trailingSpace(after.slice(before.length), message.content);
    pieces.push({ text: whole.slice(done, before.length), train: false }, { text: whole.slice(before.length, end), train: true });
    done = end;
  }
  pieces.push({ text: whole.slice(done), train: false });
  return pieces.filter(piece => piece.text !== '');
}

/** How many characters of white space follow the end-of-turn token; 0 where the turn ends with its own text. */
function trailingSpace(turn: string, content: string): number {
  const trimmed = turn.trimEnd();
  return trimmed.endsWith(content.trimEnd()) ? 0 : turn.length - trimmed.length;
}

function render(messages: readonly ChatMessage[], addGenerationPrompt: boolean, renderChat: RenderChat, place: DataPlace): string {
  try {
    return renderChat(messages, { addGenerationPrompt });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const problem = `the model's chat template refuses these turns (${reason})`;
    throw new DataError({ ...place, problem, advice: 'Mend the order of the roles, or remove the sample' }, { cause });
  }
}

function notIncremental(place: DataPlace, index: number): DataError {
  return new DataError({
    ...place,
    problem: `the model's chat template does not render turn ${index + 1} as a continuation of the turns before it, so its answer cannot be marked`,
    advice: 'Keep only the last answer of each chat, or use prompt and completion',
  });
}
