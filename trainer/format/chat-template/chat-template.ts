/** Messages to the text a chat model was trained on. */

import { messageOf } from '../../protocol/error-facts.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { resetBudget } from './jinja/budget.ts';
import { contextOf, globalsOf } from './jinja/globals.ts';
import { parseTemplate } from './jinja/parse.ts';
import { renderTemplate } from './jinja/render.ts';
import { formatTime } from './strftime.ts';

/** The longest published templates have some 30 KB. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

export interface ChatMessage {
  readonly role: string;
  /** A text, or a list of parts (`{ "type": "text", "text": … }`); absent in a message of tool calls alone. */
  readonly content?: unknown;
  /** Whatever else the template understands (`tool_calls`, `name` …). */
  readonly [key: string]: unknown;
}

export interface ChatOptions {
  /** The text ends where the assistant begins to write. */
  readonly addGenerationPrompt: boolean;
  /** Descriptions of functions, as JSON schemas. */
  readonly tools?: readonly unknown[] | undefined;
  readonly documents?: readonly unknown[] | undefined;
  /** Other variables that the template uses (`enable_thinking`, `reasoning_effort` …). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface RenderedChat {
  readonly text: string;
  /** The parts that the template marks as written by the assistant (`{% generation %}`), as places in the text. */
  readonly generated: ReadonlyArray<readonly [from: number, to: number]>;
}

export interface ChatTemplate {
  /** Does the template mark what the assistant writes? */
  readonly marksGeneration: boolean;
  /** The text of the conversation. */
  render(messages: readonly ChatMessage[], options: ChatOptions): string;
  renderMarked(messages: readonly ChatMessage[], options: ChatOptions): RenderedChat;
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
  const globals = globalsOf(format => formatTime(now(), format));
  const renderMarked = (messages: readonly ChatMessage[], options: ChatOptions): RenderedChat => {
    resetBudget();
    try {
      const variables = {
        ...specialTokens,
        ...options.variables,
        messages: messages.map(normalizeMessage),
        tools: options.tools ?? null,
        documents: options.documents ?? null,
        add_generation_prompt: options.addGenerationPrompt,
      };
      return renderTemplate(compiled, contextOf(variables), globals);
    } catch (error) {
      throw new ChatTemplateError(`the chat template refuses these ${messages.length} messages (${roles(messages)}): ${messageOf(error)}`);
    }
  };
  return {
    marksGeneration: /\{%[-+]?\s*generation\s*[-+]?%\}/.test(input.template),
    render: (messages, options) => renderMarked(messages, options).text,
    renderMarked,
  };
}

/** The names under which a message's reasoning comes; the first is the one that templates read, the second that of gpt-oss. */
const REASONING_FIELDS = ['reasoning_content', 'thinking', 'reasoning'] as const;

/** As Transformers: fields that are null count as missing, and reasoning stands under the names that templates read. */
function normalizeMessage(message: ChatMessage): Record<string, unknown> {
  const present = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
  const reasoning = REASONING_FIELDS.map(key => present[key]).find(value => value !== undefined);
  return reasoning === undefined ? present : { thinking: reasoning, ...present, reasoning_content: reasoning };
}

/** @throws ChatTemplateError when the tokenizer has none */
export function chatTemplateOf(tokenizer: Pick<Tokenizer, 'chatTemplate' | 'specialTokens'>): ChatTemplate {
  if (tokenizer.chatTemplate === undefined) {
    throw new ChatTemplateError('this model has no chat template: use an instruction-tuned model, or data with a prompt and a completion');
  }
  return createChatTemplate({ template: tokenizer.chatTemplate, specialTokens: tokenizer.specialTokens });
}

function compile(source: string): ReturnType<typeof parseTemplate> {
  if (source.length > MAX_TEMPLATE_BYTES)
    throw new ChatTemplateError(`the chat template has ${source.length} characters; at most ${MAX_TEMPLATE_BYTES} are read`);
  try {
    return parseTemplate(source);
  } catch (error) {
    throw new ChatTemplateError(`the chat template cannot be parsed: ${messageOf(error)}`);
  }
}

const roles = (messages: readonly ChatMessage[]): string => {
  const shown = messages.slice(0, 8).map(message => message.role);
  return messages.length > 8 ? `${shown.join(', ')}, …` : shown.join(', ');
};
