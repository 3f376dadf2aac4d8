/** The chat template of a model as the linter uses it: for a bounded time, since files of strangers may hold a slow one. */
import { chatRendererOf } from '../../data/chat/chat-renderer.ts';
import type { ChatRenderer } from '../../data/types.ts';
import { readChatTemplate } from '../../hub/open-model.ts';

/**
 * Processor time for the samples of one file. The template of SmolLM2 takes 0.1 ms for a question with its answer, and 2 ms for 20 of them.
 */
const RENDER_MS = 1000;
/** The chat that uses up this time may take so many times as much; then it is given up, as one of many turns is rendered many times. */
const PATIENCE = 3;

/** A chat was given up, of which nothing is known then. */
class ChatGivenUp extends Error {
  override name = 'ChatGivenUp';
}

/** Whether an error about a sample is about the time that its chat took, and not about the sample. */
export const isGivenUp = (error: Error): boolean => error.cause instanceof ChatGivenUp;

/** How the chats of a file become texts while they are checked. */
export interface TemplateFact {
  /** The renderer for the next sample; undefined for a model without a chat template. */
  readonly renderer: () => ChatRenderer | undefined;
}

/** Stands for a template: it shows whether the samples are chats. */
export const plainChat: ChatRenderer = {
  marksGeneration: false,
  mentions: () => true,
  render: ({ messages, tools = [] }) => ({
    text: [...tools, ...messages].map(each => `${everyText(each)}\n`).join(''),
    generated: [],
  }),
};

/** All strings of a value, one after the other. */
function everyText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value !== null && typeof value === 'object' ? Object.values(value).map(everyText).join(' ') : '';
}

/** The template of a local model. Undefined where it can't be read, which is a problem of the model. */
export async function templateFact(model: string): Promise<TemplateFact | undefined> {
  try {
    const renderer = chatRendererOf(await readChatTemplate(model));
    return { renderer: renderer === undefined ? () => undefined : forSomeTime(renderer, RENDER_MS) };
  } catch {
    return undefined;
  }
}

/** After so much time, chats are only looked at for fields that the template never mentions. */
export function forSomeTime(renderer: ChatRenderer, limitMs: number): () => ChatRenderer {
  let usedMs = 0;
  const render: ChatRenderer['render'] = (chat, options) => {
    if (usedMs >= PATIENCE * limitMs) throw new ChatGivenUp(`its chat takes more than ${PATIENCE * limitMs} ms`);
    const begun = process.cpuUsage();
    try {
      return renderer.render(chat, options);
    } finally {
      const { user, system } = process.cpuUsage(begun);
      usedMs += (user + system) / 1000;
    }
  };
  const [timed, plain] = [
    { ...renderer, render },
    { ...plainChat, mentions: renderer.mentions },
  ];
  return () => (usedMs < limitMs ? timed : plain);
}
