/** A model's chat template as the data pipeline uses it: content and tool calls in the form that the template reads. */

import { type ChatTemplate, createChatTemplate } from '../format/chat-template/chat-template.ts';
import { isRecord } from '../narrow.ts';
import type { ChatMessage, ChatRenderer } from './types.ts';

export interface TemplateSource {
  /** Jinja; undefined where the model has no chat template. */
  readonly chatTemplate?: string | undefined;
  readonly specialTokens: Readonly<Record<string, string>>;
}

/**
 * The renderer of a tokenizer's template, or undefined without one.
 * @param now for templates that write the date
 * @throws ChatTemplateError where the template does not parse
 */
export function chatRendererOf(
  { chatTemplate: source, specialTokens }: TemplateSource,
  now?: (() => Date) | undefined,
): ChatRenderer | undefined {
  if (source === undefined) return undefined;
  const template = createChatTemplate({ template: source, specialTokens, now });
  const forms = templateForms(template);
  const words = new Set(source.match(/\w+/g));
  return {
    marksGeneration: template.marksGeneration,
    // Names come from the data, so they are looked up and never become an expression.
    mentions: field => words.has(field) || (/\W/.test(field) && source.includes(field)),
    render: ({ messages, tools, documents, variables }, { addGenerationPrompt }) =>
      template.renderMarked(
        messages.map(message => inForm(message, forms)),
        { addGenerationPrompt, tools, documents, variables },
      ),
  };
}

/** The forms that a template reads. Data of another form is converted, so that nothing is rendered as a quoted list or string. */
interface TemplateForms {
  /** Content as a list of text parts. */
  readonly contentParts: boolean;
  /** Arguments of a tool call as JSON text. */
  readonly argumentText: boolean;
}

/** Renders both forms of a small chat and compares them. */
function templateForms(template: ChatTemplate): TemplateForms {
  const user = (content: unknown): ChatMessage => ({ role: 'user', content });
  const call = (given: unknown): ChatMessage => ({
    role: 'assistant',
    content: '',
    tool_calls: [{ id: 'call00001', type: 'function', function: { name: 'f', arguments: given } }],
  });
  const same = (one: readonly ChatMessage[], other: readonly ChatMessage[]): boolean => {
    try {
      const options = { addGenerationPrompt: false };
      return template.render(one, options) === template.render(other, options);
    } catch {
      return false;
    }
  };
  return {
    contentParts: same([user('Hi')], [user([{ type: 'text', text: 'Hi' }])]),
    argumentText: same([user('Hi'), call({ a: 1 })], [user('Hi'), call('{"a": 1}')]),
  };
}

function inForm(message: ChatMessage, forms: TemplateForms): ChatMessage {
  const { content, tool_calls: calls } = message;
  const joins = Array.isArray(content) && !forms.contentParts;
  const parses = Array.isArray(calls) && !forms.argumentText;
  return { ...message, ...(joins && { content: textOfContent(content) }), ...(parses && { tool_calls: calls.map(withArguments) }) };
}

/** The text of a message's content: a string, or the joined text of its parts. */
export const textOfContent = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : Array.isArray(content)
      ? content.map(part => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
      : '';

/** A call whose arguments are an object. */
function withArguments(call: unknown): unknown {
  const { function: inner, arguments: given, ...others } = isRecord(call) ? call : {};
  if (inner !== undefined) return { ...others, ...(given !== undefined && { arguments: given }), function: withArguments(inner) };
  const read: unknown = typeof given === 'string' ? JSON.parse(given) : given;
  return { ...others, ...(read !== undefined && { arguments: read }) };
}
