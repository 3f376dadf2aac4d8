/** A model's chat template for the data pipeline: converts content and tool calls to the form that the template reads. */

import { type ChatTemplate, createChatTemplate } from '../../format/chat-template/chat-template.ts';
import { parseWithFloats } from '../../format/chat-template/float-json.ts';
import { isRecord } from '../../narrow.ts';
import { textOfContent } from '../../protocol/text/content-text.ts';
import type { ChatMessage, ChatRenderer, RenderedChat } from '../types.ts';
import { imagesIn, isPlacedImage, type SampleImage } from '../vision/sample-image.ts';

export interface TemplateSource {
  /** A Jinja template; undefined if the model has none. */
  readonly chatTemplate?: string | undefined;
  readonly specialTokens: Readonly<Record<string, string>>;
}

/**
 * The renderer of a tokenizer's template, or undefined if there is no template.
 * @param now the time, for templates that write the date
 * @param placeholder the text by which the template marks the place of an image, if the model reads images
 * @throws ChatTemplateError if the template does not parse
 */
export function chatRendererOf(
  { chatTemplate: source, specialTokens }: TemplateSource,
  now?: (() => Date) | undefined,
  placeholder?: string | undefined,
): ChatRenderer | undefined {
  if (source === undefined) return undefined;
  const template = createChatTemplate({ template: source, specialTokens, now });
  const forms = templateForms(template);
  const words = new Set(source.match(/\w+/g));
  return {
    marksGeneration: template.marksGeneration,
    // Names come from the data, so this looks them up instead of building a regular expression from them.
    mentions: field => words.has(field) || (/\W/.test(field) && source.includes(field)),
    render({ messages, tools, documents, variables }, { addGenerationPrompt }) {
      const written = messages.map(message => inForm(message, forms));
      const rendered = template.renderMarked(written, { addGenerationPrompt, tools, documents, variables });
      return placeholder === undefined ? rendered : withImageTexts(rendered, imagesIn(messages), placeholder);
    },
  };
}

/**
 * Replaces the placeholder of each image by the text that the image becomes.
 * @throws TypeError if the text has more or fewer placeholders than the chat has images
 */
function withImageTexts({ text, generated }: RenderedChat, images: readonly SampleImage[], placeholder: string): RenderedChat {
  const pieces = text.split(placeholder);
  const places = pieces.length - 1;
  if (places !== images.length)
    throw new TypeError(
      `${images.length} images, but the text that the model's chat template makes of the chat has ${places} times ${placeholder}, which stands for an image`,
    );
  if (places === 0) return { text, generated };
  const shifts: { readonly from: number; readonly by: number }[] = [];
  let [whole, from] = [pieces[0] ?? '', 0];
  for (const [i, image] of images.entries()) {
    from += (pieces[i] ?? '').length + placeholder.length;
    shifts.push({ from, by: image.text.length - placeholder.length });
    whole += image.text + (pieces[i + 1] ?? '');
  }
  const moved = (at: number): number => shifts.reduce((sum, shift) => (at >= shift.from ? sum + shift.by : sum), at);
  return { text: whole, generated: generated.map(([start, end]) => [moved(start), moved(end)] as const) };
}

/** The forms that a template reads. Data in another form is converted, so that nothing is rendered as a quoted list or string. */
interface TemplateForms {
  /** Content as text, as a list of parts, or as either. */
  readonly content: 'text' | 'parts' | 'either';
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
  const [plain, parts] = [rendered(user('Hi')), rendered(user([{ type: 'text', text: 'Hi' }]))];
  const [object, text] = [{ a: 1 }, '{"a": 1}'].map(given => rendered(user('Hi'), call(given)));
  return {
    content: plain !== undefined && plain === parts ? 'either' : parts?.includes('Hi') && !plain?.includes('Hi') ? 'parts' : 'text',
    toolArguments: object === undefined && text !== undefined ? 'text' : object !== undefined && object === text ? 'either' : 'object',
  };
}

function inForm(message: ChatMessage, forms: TemplateForms): ChatMessage {
  const { content, tool_calls: calls } = message;
  const joins = Array.isArray(content) && forms.content === 'text';
  if (joins && content.some(isPlacedImage)) throw new TypeError("the model's chat template takes no images");
  const splits = typeof content === 'string' && forms.content === 'parts';
  const { toolArguments } = forms;
  const changes = Array.isArray(calls) && toolArguments !== 'either';
  return {
    ...message,
    ...(joins && { content: textOfContent(content) }),
    ...(splits && { content: [{ type: 'text', text: content }] }),
    ...(changes && { tool_calls: calls.map(each => withArguments(each, toolArguments)) }),
  };
}

/** A call whose arguments are an object, or JSON text. */
function withArguments(call: unknown, form: 'object' | 'text'): unknown {
  const { function: inner, arguments: given, ...others } = isRecord(call) ? call : {};
  if (inner !== undefined) return { ...others, ...(given !== undefined && { arguments: given }), function: withArguments(inner, form) };
  const isText = typeof given === 'string';
  const converted: unknown = form === 'object' ? (isText ? parseWithFloats(given) : given) : isText ? given : JSON.stringify(given);
  return { ...others, ...(converted !== undefined && { arguments: converted }) };
}
