/** A model's chat template for the data pipeline: converts content and tool calls to the form that the template reads. */

import { type ChatTemplate, createChatTemplate } from '../../format/chat-template/chat-template.ts';
import { isRecord } from '../../narrow.ts';
import type { ChatMessage, ChatRenderer } from '../types.ts';

export interface TemplateSource {
  /** A Jinja template; undefined if the model has none. */
  readonly chatTemplate?: string | undefined;
  readonly specialTokens: Readonly<Record<string, string>>;
}

/**
 * The renderer of a tokenizer's template, or undefined if there is no template.
 * @param now the time, for templates that write the date
 * @throws ChatTemplateError if the template does not parse
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
    // Names come from the data, so this looks them up instead of building a regular expression from them.
    mentions: field => words.has(field) || (/\W/.test(field) && source.includes(field)),
    render: ({ messages, tools, documents, variables }, { addGenerationPrompt }) =>
      template.renderMarked(
        messages.map(message => inForm(message, forms)),
        { addGenerationPrompt, tools, documents, variables },
      ),
  };
}

/** The forms that a template reads. Data in another form is converted, so that nothing is rendered as a quoted list or string. */
interface TemplateForms {
  /** Content as a list of text parts. */
  readonly contentParts: boolean;
  /** Arguments of a tool call as an object, as JSON text, or as either. */
  readonly toolArguments: 'object' | 'text' | 'either';
}

/** Renders a small chat in both forms and compares the texts. */
function templateForms(template: ChatTemplate): TemplateForms {
  const user = (content: unknown): ChatMessage => ({ role: 'user', content });
  const call = (given: unknown): ChatMessage => ({
    role: 'assistant',
    content: '',
    tool_calls: [{ id: 'call00001', type: 'function', function: { name: 'f', arguments: given } }],
  });
  const rendered = (...messages: readonly ChatMessage[]): string | undefined => {
    try {
      return template.render(messages, { addGenerationPrompt: false });
    } catch {
      return undefined;
    }
  };
  const plain = rendered(user('Hi'));
  const [object, text] = [{ a: 1 }, '{"a": 1}'].map(given => rendered(user('Hi'), call(given)));
  return {
    contentParts: plain !== undefined && plain === rendered(user([{ type: 'text', text: 'Hi' }])),
    toolArguments: object === undefined && text !== undefined ? 'text' : object !== undefined && object === text ? 'either' : 'object',
  };
}

function inForm(message: ChatMessage, forms: TemplateForms): ChatMessage {
  const { content, tool_calls: calls } = message;
  const joins = Array.isArray(content) && !forms.contentParts;
  const { toolArguments } = forms;
  const changes = Array.isArray(calls) && toolArguments !== 'either';
  return {
    ...message,
    ...(joins && { content: textOfContent(content) }),
    ...(changes && { tool_calls: calls.map(each => withArguments(each, toolArguments)) }),
  };
}

/** The text of a message's content: a string, or the joined text of its parts. */
export const textOfContent = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : Array.isArray(content)
      ? content.map(part => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
      : '';

/** A call whose arguments are an object, or JSON text. */
function withArguments(call: unknown, form: 'object' | 'text'): unknown {
  const { function: inner, arguments: given, ...others } = isRecord(call) ? call : {};
  if (inner !== undefined) return { ...others, ...(given !== undefined && { arguments: given }), function: withArguments(inner, form) };
  const isText = typeof given === 'string';
  const converted: unknown = form === 'object' ? (isText ? JSON.parse(given) : given) : isText ? given : JSON.stringify(given);
  return { ...others, ...(converted !== undefined && { arguments: converted }) };
}
