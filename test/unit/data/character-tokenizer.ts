/** A real tokenizer for tests: one token per character, `<…>` names are special tokens, and a BOS if special tokens are requested. */
import type { ChatRenderer, TextTokenizer } from '../../../trainer/data/types.ts';

const special = ['<bos>', '<eos>', '<turn>'];
const [BOS, EOS] = [0, 1];

export function characterTokenizer(): TextTokenizer {
  const encodePlain = (text: string) =>
    [...text.matchAll(/<(?:bos|eos|turn)>|./gsu)].map(([token]) => {
      const index = special.indexOf(token);
      return index >= 0 ? index : (token.codePointAt(0) ?? 0);
    });
  return {
    encode: (text, { addSpecialTokens }) => (addSpecialTokens ? [BOS, ...encodePlain(text)] : encodePlain(text)),
    decode: (ids, { skipSpecialTokens }) =>
      ids.map(id => (id < special.length ? (skipSpecialTokens ? '' : special[id]) : String.fromCodePoint(id))).join(''),
    eosIds: [EOS],
  };
}

/** Renders `<turn>role:content<eos>` and a line break for each message. */
export const renderTurns: ChatRenderer = {
  marksGeneration: false,
  mentions: () => false,
  render: ({ messages }, { addGenerationPrompt }) => {
    const turns = messages.map(({ role, content }) => `<turn>${role}:${content}<eos>\n`).join('');
    return { text: turns + (addGenerationPrompt ? '<turn>assistant:' : ''), generated: [] };
  },
};

/** Renders the same, with the name of the first function that a turn calls instead of its text. */
export const renderCalls: ChatRenderer = {
  ...renderTurns,
  mentions: () => true,
  render: ({ messages }, how) =>
    renderTurns.render(
      {
        messages: messages.map(message => {
          const [call] = Array.isArray(message.tool_calls) ? message.tool_calls : [];
          return call === undefined ? message : { ...message, content: String(call.function.name) };
        }),
      },
      how,
    ),
};

/** Returns a turn that calls a function. */
export const calls = (name: string) => ({
  role: 'assistant',
  content: '',
  tool_calls: [{ type: 'function', function: { name, arguments: {} } }],
});
