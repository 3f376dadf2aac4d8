/** The parts of a trained answer that stay context if the recipe asks for it: its reasoning, and what ends its turn. */

import { DataError } from '../data-error.ts';
import { NAMED_TAGS, type ReasoningForm, reasoningFormOf, type TagForm } from '../reasoning/reasoning-form.ts';
import type { ChatMessage, ChatRenderer, Piece } from '../types.ts';
import { textOfContent } from './chat-renderer.ts';
import { type ChatText, reasoningFields, squeezed } from './check-chat.ts';
import { MARK, type Span } from './render-chat.ts';

export type ContextPart = 'reasoning' | 'end_of_turn';

/** An answer as the template writes it. */
export interface WrittenAnswer {
  /** The text that is trained otherwise, up to its end-of-turn token. */
  readonly text: string;
  /** The text of the chat before it. */
  readonly before: string;
  /** The answer; several where the template's own marks do not tell them apart. */
  readonly messages: readonly ChatMessage[];
  /** The place of the first of them in the chat. */
  readonly index: number;
}

/** @throws DataError for a part that cannot be located in the text */
export function contextParts(answer: WrittenAnswer, parts: readonly ContextPart[], settings: ChatText): Span[] {
  const { form, end } = formOf(settings.renderer);
  return [
    ...(parts.includes('reasoning') ? writtenReasoning(answer, form, settings) : []),
    ...(parts.includes('end_of_turn') ? writtenEnd(answer, end, settings) : []),
  ];
}

/** The piece of plain text without its reasoning between `<think>` and `</think>`. */
export function withoutReasoning(piece: Piece): Piece {
  const context = piece.train ? (taggedIn(piece.text, NAMED_TAGS, false) ?? [[0, piece.text.length]]) : [];
  return context.length === 0 ? piece : { ...piece, context };
}

interface AnswerForm {
  readonly form: ReasoningForm | undefined;
  /** The trained text that the template writes after a last answer, without white space at its end. */
  readonly end: string;
}

const forms = new WeakMap<ChatRenderer, AnswerForm>();

function formOf(renderer: ChatRenderer): AnswerForm {
  const known = forms.get(renderer);
  if (known) return known;
  const found = { form: reasoningFormOf(renderer), end: endOfAnswers(renderer) };
  forms.set(renderer, found);
  return found;
}

function endOfAnswers(renderer: ChatRenderer): string {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: MARK },
  ];
  const { text, generated } = renderer.render({ messages }, { addGenerationPrompt: false });
  const at = text.lastIndexOf(MARK) + MARK.length;
  const stretch = generated.find(([from, to]) => from < at && at <= to);
  return text.slice(at, renderer.marksGeneration ? (stretch?.[1] ?? at) : text.length).trimEnd();
}

/** Reasoning in the form of the template, and between the usual tags in an answer of a template with another form. */
function writtenReasoning(answer: WrittenAnswer, form: ReasoningForm | undefined, { place }: ChatText): Span[] {
  const { text, before, messages, index } = answer;
  const own = form === undefined ? [] : form.kind === 'heads' ? headedIn(text, form) : taggedIn(text, form, isBegun(before, form));
  const usual = form?.kind === 'tags' && form.closing === NAMED_TAGS.closing ? [] : taggedIn(text, NAMED_TAGS, false);
  if (own === undefined || usual === undefined) throw notLocated('reasoning', 'Close the reasoning with its mark', index, place);
  const found = [...own, ...usual];
  const located = squeezed(found.map(([from, to]) => text.slice(from, to)).join(' '));
  const others = squeezed(found.reduceRight((rest, [from, to]) => `${rest.slice(0, from)} ${rest.slice(to)}`, text));
  const isMissed = (thought: string): boolean => !located.includes(thought) && others.includes(thought);
  if (messages.flatMap(thoughtsOf).some(isMissed)) throw notLocated('reasoning', 'Remove it from the data', index, place);
  return found;
}

/** Whether the text before an answer opens its reasoning. */
const isBegun = (before: string, { opening }: TagForm): boolean => before.trimEnd().endsWith(opening);

/** The stretches between two tags with the space behind each; undefined if the first is never closed. */
function taggedIn(text: string, { opening, closing }: TagForm, isBegun: boolean): Span[] | undefined {
  const found: Span[] = [];
  const first = isBegun ? 0 : text.indexOf(opening);
  for (let from = first; from >= 0; ) {
    const at = text.indexOf(closing, from);
    // Later in the text, a tag may be what the answer is about.
    if (at < 0) return from === first && text.slice(0, from).trim() === '' ? undefined : found;
    const rest = text.slice(at + closing.length);
    const to = text.length - rest.trimStart().length;
    found.push([from, to]);
    from = text.indexOf(opening, to);
  }
  return found;
}

/** The messages of reasoning, each up to the head of the next message. */
function headedIn(text: string, { reasoning, between }: Extract<ReasoningForm, { kind: 'heads' }>): Span[] {
  const found: Span[] = [];
  for (let from = text.indexOf(reasoning); from >= 0; ) {
    const at = text.indexOf(between, from);
    const to = at < 0 ? text.length : at + between.length;
    found.push([from, to]);
    from = text.indexOf(reasoning, to);
  }
  return found;
}

/** The reasoning that a message has, in its own field or between tags. */
function thoughtsOf(message: ChatMessage): string[] {
  const fields = reasoningFields.map(name => message[name]).filter(value => typeof value === 'string');
  const content = textOfContent(message.content);
  const tagged = [...content.matchAll(/<think>([\s\S]*?)<\/think>/g)].map(([, inner = '']) => inner);
  return [...fields, ...tagged].map(squeezed).filter(text => text !== '');
}

/** The end of an answer: what the template writes after any answer, or another special token in its place. */
function writtenEnd({ text, messages, index }: WrittenAnswer, end: string, { place }: ChatText): Span[] {
  if (end.trim() === '') return [];
  const last = messages.at(-1);
  const said =
    last?.tool_calls === undefined
      ? squeezed(
          textOfContent(last?.content)
            .split(/<\/?think>/)
            .at(-1) ?? '',
        )
      : '';
  // A stretch that the template marks may end with a line break.
  const trimmed = text.trimEnd();
  const other = /<[^<>\s]+>$/.exec(trimmed)?.[0];
  const startOf = (each: string): number => trimmed.length - each.length;
  const isEnd = (each: string): boolean => trimmed.endsWith(each) && squeezed(trimmed.slice(0, startOf(each))).endsWith(said);
  const found = [end, end.trimStart(), other].find(each => each !== undefined && isEnd(each));
  if (found === undefined) throw notLocated('end of the turn', 'Set data.train_end_of_turn: true', index, place);
  return [[startOf(found), text.length]];
}

const notLocated = (part: string, advice: string, index: number, place: ChatText['place']): DataError =>
  new DataError({
    ...place,
    key: `messages[${index}]`,
    problem: `the ${part} of this answer cannot be located in the text that the model's chat template makes of it, so it cannot be left out of the training`,
    advice,
  });
