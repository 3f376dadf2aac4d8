/** Renders messages to the text format that a chat model was trained on. */

import { messageOf } from '../../protocol/error-facts.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { resetBudget } from './jinja/budget.ts';
import { contextOf, globalsOf } from './jinja/globals.ts';
import { parseTemplate } from './jinja/parse.ts';
import { renderTemplate } from './jinja/render.ts';
import { formatTime } from './strftime.ts';

/** Maximum size of a template; the longest published ones have about 30 KB. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

export interface ChatMessage {
  readonly role: string;
  /** A text, or a list of parts (`{ "type": "text", "text": … }`); may be absent if the message has tool calls. */
  readonly content?: unknown;
  /** Other fields that the template reads (`tool_calls`, `name` …). */
  readonly [key: string]: unknown;
}

export interface ChatOptions {
  /** True to end the text where the assistant starts to write. */
  readonly addGenerationPrompt: boolean;
  /** Descriptions of functions, as JSON schemas. */
  readonly tools?: readonly unknown[] | undefined;
  readonly documents?: readonly unknown[] | undefined;
  /** Other variables for the template (`enable_thinking`, `reasoning_effort` …). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface RenderedChat {
  readonly text: string;
  /** Ranges of the text that the template marks as written by the assistant (`{% generation %}`). */
  readonly generated: ReadonlyArray<readonly [from: number, to: number]>;
}

export interface ChatTemplate {
  /** True if the template marks what the assistant writes. */
  readonly marksGeneration: boolean;
  /** Renders the conversation. */
  render(messages: readonly ChatMessage[], options: ChatOptions): string;
  renderMarked(messages: readonly ChatMessage[], options: ChatOptions): RenderedChat;
}

/** Error if the model has no chat template, the template is broken, or it refuses these messages. */
export class ChatTemplateError extends Error {
  override name = 'ChatTemplateError';
}

/**
 * @param template Jinja source; `tokenizer.chatTemplate` is the model's own
 * @param specialTokens `bos_token`, `eos_token` … which templates write into the text
 * @param now for templates that write the date
 * @throws ChatTemplateError if the source is too long or does not parse
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

/** Possible fields for a message's reasoning; templates read the first one, gpt-oss's the second. */
const REASONING_FIELDS = ['reasoning_content', 'thinking', 'reasoning'] as const;

/**
 * Normalizes a message as Transformers does: null fields count as missing, and the reasoning is copied to the fields that templates read.
 */
function normalizeMessage(message: ChatMessage): Record<string, unknown> {
  const present = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
  const reasoning = REASONING_FIELDS.map(key => present[key]).find(value => value !== undefined);
  return reasoning === undefined ? present : { thinking: reasoning, ...present, reasoning_content: reasoning };
}

/** @throws ChatTemplateError if the tokenizer has no chat template */
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
