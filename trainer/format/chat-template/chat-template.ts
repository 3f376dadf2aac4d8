/** Messages to the text a chat model was trained on. */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { formatTime } from './strftime.ts';

/** The longest published templates have some 30 KB. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  /** Whatever else the template understands (`tool_calls`, `name` …). */
  readonly [key: string]: unknown;
}

export interface ChatTemplate {
  /** The text of the conversation; with `addGenerationPrompt` it ends where the assistant begins to write. */
  render(messages: readonly ChatMessage[], options: { readonly addGenerationPrompt: boolean }): string;
}

/** The model has no chat template, the template is broken, or it refuses these messages. */
export class ChatTemplateError extends Error {
  override name = 'ChatTemplateError';
}

/**
 * @param template Jinja source; `tokenizer.chatTemplate` is the model's own
 * @param specialTokens `bos_token`, `eos_token` … which templates write into the text
 * @param now for templates that state the date
 * @throws ChatTemplateError when the source is too long or does not parse
 */
export function createChatTemplate(input: {
  readonly template: string;
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly now?: () => Date;
}): ChatTemplate {
  const { specialTokens, now = () => new Date() } = input;
  const compiled = compile(input.template);
  const render = (messages: readonly ChatMessage[], options: { readonly addGenerationPrompt: boolean }): string => {
    try {
      const environment = new Environment();
      const globals = {
        ...CONSTANTS,
        range,
        raise_exception: raiseException,
        strftime_now: (format: unknown) => formatTime(now(), String(format)),
      };
      const variables = { ...globals, ...specialTokens, messages, add_generation_prompt: options.addGenerationPrompt };
      for (const [name, value] of Object.entries(variables)) environment.set(name, value);
      return String(new Interpreter(environment).run(compiled).value);
    } catch (error) {
      throw new ChatTemplateError(
        `the chat template refuses these ${messages.length} messages (${roles(messages)}): ${(error as Error).message}`,
      );
    }
  };
  return { render };
}

/** @throws ChatTemplateError when the tokenizer has none */
export function chatTemplateOf(tokenizer: Pick<Tokenizer, 'chatTemplate' | 'specialTokens'>): ChatTemplate {
  if (tokenizer.chatTemplate === undefined) {
    throw new ChatTemplateError('this model has no chat template: use an instruction-tuned model, or data with a prompt and a completion');
  }
  return createChatTemplate({ template: tokenizer.chatTemplate, specialTokens: tokenizer.specialTokens });
}

/** The names every template may use. The library's own `Template` would add a `strftime_now` that speaks the machine's language. */
const CONSTANTS = { true: true, false: false, none: null, True: true, False: false, None: null };
/** Templates count messages; a longer range would only fill memory. */
const MAX_RANGE = 100_000;

function raiseException(message: unknown): never {
  throw new ChatTemplateError(String(message));
}

/** Python's `range(stop)`, `range(start, stop)`, `range(start, stop, step)`. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_RANGE)) throw new ChatTemplateError(`a range of ${length} is longer than ${MAX_RANGE}`);
  return Array.from({ length }, (_, i) => start + i * step);
}

function compile(source: string): ReturnType<typeof parse> {
  if (source.length > MAX_TEMPLATE_BYTES)
    throw new ChatTemplateError(`the chat template has ${source.length} characters; at most ${MAX_TEMPLATE_BYTES} are read`);
  try {
    return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })); // as Transformers sets Jinja
  } catch (error) {
    throw new ChatTemplateError(`the chat template cannot be parsed: ${(error as Error).message}`);
  }
}

const roles = (messages: readonly ChatMessage[]): string => {
  const shown = messages.slice(0, 8).map(message => message.role);
  return messages.length > 8 ? `${shown.join(', ')}, …` : shown.join(', ');
};
