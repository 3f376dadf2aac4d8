/** Detects how a model marks its reasoning from its chat template, without a list of model families. */
import { commonEnd, commonStart, coreOf, lastWord } from '../tool-calls/marks.ts';
import type { ChatMessage, ChatRenderer } from '../types.ts';

export type ReasoningForm = TagForm | HeadForm;

/** The form of an answer that may begin with reasoning between two marks. */
export interface TagForm {
  readonly kind: 'tags';
  readonly opening: string;
  readonly closing: string;
}

/** The form of an answer that is a chain of messages, each with a header that says whether it is reasoning. */
export interface HeadForm {
  readonly kind: 'heads';
  /** The header of reasoning; `answer` is that of the answer. */
  readonly reasoning: string;
  readonly answer: string;
  /** The end of every header. */
  readonly headEnd: string;
  /** The text between two messages. */
  readonly between: string;
}

/** Characters that no template writes. */
const [THOUGHT, SAID] = ['¤', '§'];
/** The usual marks. */
export const NAMED_TAGS: TagForm = { kind: 'tags', opening: '<think>', closing: '</think>' };
/** The marks of templates that do not write reasoning but search for its end mark. The second pair is Gemma 4's. */
const NAMED: readonly TagForm[] = [NAMED_TAGS, { kind: 'tags', opening: '<|channel>thought', closing: '<channel|>' }];

/** Renders an answer with reasoning, and detects the form in the text. @returns undefined for a template without reasoning */
export function reasoningFormOf(renderer: ChatRenderer): ReasoningForm | undefined {
  const asked: ChatMessage = { role: 'user', content: 'Hi' };
  const render = (answers: readonly ChatMessage[]): string => {
    try {
      return renderer.render({ messages: [asked, ...answers] }, { addGenerationPrompt: answers.length === 0 }).text;
    } catch {
      return '';
    }
  };
  const [prompt, plain] = [render([]), render([{ role: 'assistant', content: SAID }])];
  const whole = render([{ role: 'assistant', content: SAID, reasoning_content: THOUGHT }]);
  const [thought, said] = [whole.indexOf(THOUGHT), whole.indexOf(SAID)];
  if (prompt === '' || thought < 0 || said < thought) return NAMED.find(({ closing: mark }) => renderer.mentions(mark));
  const written = whole.slice(commonStart(prompt, whole), thought);
  // The prompt may open the reasoning.
  const opening = coreOf(written) === '' ? lastWord(whole.slice(0, thought)) : coreOf(written);
  const closing = whole.slice(thought + THOUGHT.length, said);
  const head = coreOf(plain.slice(commonStart(prompt, plain), plain.indexOf(SAID)));
  if (head !== '' && !head.includes(opening) && closing.trimEnd().endsWith(head)) {
    const between = coreOf(closing.slice(0, closing.lastIndexOf(head)));
    const headEnd = opening.slice(opening.length - commonEnd(opening, head));
    if (between !== '' && headEnd !== '') return { kind: 'heads', reasoning: opening, answer: head, headEnd, between };
  }
  const end = coreOf(closing);
  return opening !== '' && end !== '' ? { kind: 'tags', opening, closing: end } : undefined;
}
