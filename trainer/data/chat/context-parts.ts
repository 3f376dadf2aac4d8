/** Finds the parts of a trained answer that the recipe keeps as context: its reasoning, and its end-of-turn marks. */

import { textOfContent } from '../../protocol/text/content-text.ts';
import { DataError } from '../data-error.ts';
import { NAMED_TAGS, type ReasoningForm, reasoningFormOf, type TagForm } from '../reasoning/reasoning-form.ts';
import type { ChatMessage, ChatRenderer, Piece } from '../types.ts';
import { type ChatText, reasoningFields, squeezed } from './check-chat.ts';
import { MARK, type Span } from './render-chat.ts';

export type ContextPart = 'reasoning' | 'end_of_turn';

/** An answer as the template writes it. */
export interface WrittenAnswer {
  /** The text that is trained by default, up to its end-of-turn token. */
  readonly text: string;
  /** The text of the chat before the answer. */
  readonly before: string;
  /** The answer; several messages if the template's own marks do not separate them. */
  readonly messages: readonly ChatMessage[];
  /** The place of the first of these messages in the sample, if it has one. */
  readonly key: string | undefined;
}

/** The stretches of an answer that stay context. @throws DataError for a part that cannot be located in the text */
export function contextParts(answer: WrittenAnswer, parts: readonly ContextPart[], settings: ChatText): Span[] {
  const { form, end } = formOf(settings.renderer);
  return [
    ...(parts.includes('reasoning') ? writtenReasoning(answer, form, settings) : []),
    ...(parts.includes('end_of_turn') ? writtenEnd(answer, end, settings) : []),
  ];
}

/** The piece of plain text with its reasoning between `<think>` and `</think>` as context. */
export function withoutReasoning(piece: Piece): Piece {
  const context = piece.train ? (taggedIn(piece.text, NAMED_TAGS, false) ?? [[0, piece.text.length]]) : [];
  return context.length === 0 ? piece : { ...piece, context };
}

interface AnswerForm {
  readonly form: ReasoningForm | undefined;
  /** The text that the template writes after a last answer and that is trained, without trailing white space. */
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

/** The reasoning in the template's form, or between the usual tags if the template has another form and the answer uses these tags. */
function writtenReasoning(answer: WrittenAnswer, form: ReasoningForm | undefined, { place }: ChatText): Span[] {
  const { text, before, messages, key } = answer;
  const own = form === undefined ? [] : form.kind === 'heads' ? headedIn(text, form) : taggedIn(text, form, isBegun(before, form));
  const usual = form?.kind === 'tags' && form.closing === NAMED_TAGS.closing ? [] : taggedIn(text, NAMED_TAGS, false);
  if (own === undefined || usual === undefined) throw notLocated('reasoning', 'Close the reasoning with its mark', key, place);
  const found = [...own, ...usual];
  const located = squeezed(found.map(([from, to]) => text.slice(from, to)).join(' '));
  const others = squeezed(found.reduceRight((rest, [from, to]) => `${rest.slice(0, from)} ${rest.slice(to)}`, text));
  const isMissed = (thought: string): boolean => !located.includes(thought) && others.includes(thought);
  if (messages.flatMap(thoughtsOf).some(isMissed)) throw notLocated('reasoning', 'Remove it from the data', key, place);
  return found;
}

/** True if the text before an answer opens its reasoning. */
const isBegun = (before: string, { opening }: TagForm): boolean => before.trimEnd().endsWith(opening);

/** The stretches between two tags, each with the white space after it; undefined if the first tag is never closed. */
function taggedIn(text: string, { opening, closing }: TagForm, isBegun: boolean): Span[] | undefined {
  const found: Span[] = [];
  const first = isBegun ? 0 : text.indexOf(opening);
  for (let from = first; from >= 0; ) {
    const at = text.indexOf(closing, from);
    // A tag later in the text may be part of what the answer discusses.
    if (at < 0) return from === first && text.slice(0, from).trim() === '' ? undefined : found;
    const rest = text.slice(at + closing.length);
    const to = text.length - rest.trimStart().length;
    found.push([from, to]);
    from = text.indexOf(opening, to);
  }
  return found;
}

/** The reasoning messages, each up to the header of the next message. */
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

/** The reasoning of a message, from its own field or from between tags. */
function thoughtsOf(message: ChatMessage): string[] {
  const fields = reasoningFields.map(name => message[name]).filter(value => typeof value === 'string');
  const content = textOfContent(message.content);
  const tagged = [...content.matchAll(/<think>([\s\S]*?)<\/think>/g)].map(([, inner = '']) => inner);
  return [...fields, ...tagged].map(squeezed).filter(text => text !== '');
}

/** The end of an answer: what the template writes after any answer, or another special token in its place. */
function writtenEnd({ text, messages, key }: WrittenAnswer, end: string, { place }: ChatText): Span[] {
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
  if (found === undefined) throw notLocated('end of the turn', 'Set data.train_end_of_turn: true', key, place);
  return [[startOf(found), text.length]];
}

const notLocated = (part: string, advice: string, key: string | undefined, place: ChatText['place']): DataError =>
  new DataError({
    ...place,
    key,
    problem: `the ${part} of this answer cannot be located in the text that the model's chat template makes of it, so it cannot be left out of the training`,
    advice,
  });
