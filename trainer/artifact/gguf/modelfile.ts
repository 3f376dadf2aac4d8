/** The Modelfile that `ollama create` reads: the GGUF file, its chat template as a Go template, stop tokens and parameters. */

import { isOneOf } from '../../catalog/entries.ts';
import { type ChatMessage, type ChatTemplate, ChatTemplateError, createChatTemplate } from '../../format/chat-template/chat-template.ts';
import type { ModelConfig } from '../../format/model-config.ts';
import type { Tokenizer } from '../../format/tokenizer/tokenizer.ts';
import { required } from '../../narrow.ts';

export const MODELFILE = 'Modelfile';

/** A name for Ollama: lower case, without separators. */
export const ollamaName = (stem: string): string =>
  stem
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '') || 'tuned';

export interface ModelfileParams {
  /** The name of the GGUF file next to the Modelfile. */
  readonly file: string;
  /** The name of the GGUF file of the encoder of images, if the model has one. */
  readonly encoder?: string;
  /** The GGUF file of the base, if `file` is an adapter. */
  readonly base?: string;
  readonly tokenizer: Tokenizer;
  readonly generationConfig: ModelConfig | undefined;
  readonly maxPositions: number;
}

/** Ollama's default context length; a model with fewer positions needs its own value. */
const OLLAMA_CONTEXT = 4096;

/** Ollama's names for settings of generation_config.json. */
const PARAMETERS = {
  temperature: 'temperature',
  top_p: 'top_p',
  top_k: 'top_k',
  min_p: 'min_p',
  repetition_penalty: 'repeat_penalty',
} as const;

export function modelfile({ file, encoder, base, tokenizer, generationConfig = {}, maxPositions }: ModelfileParams): string {
  const chat = goTemplate(tokenizer);
  const parameters = Object.entries(PARAMETERS).flatMap(([key, name]) => {
    const value = generationConfig[key];
    return typeof value === 'number' && generationConfig.do_sample === true ? [`PARAMETER ${name} ${value}`] : [];
  });
  const stops = tokenizer.eosIds.flatMap(id => tokenizer.token(id) ?? []).filter(text => !text.includes('"'));
  return [
    ...(base === undefined
      ? [`FROM ./${file}`, ...(encoder === undefined ? [] : [`FROM ./${encoder}`])]
      : ['# Put the base next to this file, or write its name in Ollama here.', `FROM ./${base}`, `ADAPTER ./${file}`]),
    ...('reason' in chat
      ? [
          `# No TEMPLATE: ${chat.reason}.`,
          '# Recent versions of Ollama use the chat template inside the GGUF file; older ones may send texts as they are.',
        ]
      : [
          ...(chat.isDated ? ['# The date below is that of this export. The chat template writes the date of each day.'] : []),
          `TEMPLATE """${chat.template}"""`,
          ...(chat.system === undefined ? [] : [`SYSTEM """${chat.system}"""`]),
        ]),
    ...stops.map(text => `PARAMETER stop "${text}"`),
    ...parameters,
    ...(maxPositions < OLLAMA_CONTEXT ? [`PARAMETER num_ctx ${maxPositions}`] : []),
    '',
  ].join('\n');
}

const ROLES = ['system', 'user', 'assistant'] as const;
type Role = (typeof ROLES)[number];

/** The form of a turn: `before`, its text, `after`. */
interface Turn {
  readonly before: string;
  readonly after: string;
}

/** The form of a conversation: `lead`, its turns, and `prompt` before the assistant's answer. */
interface LinearChat {
  readonly lead: string;
  readonly turns: Partial<Readonly<Record<Role, Turn>>>;
  readonly prompt: string;
}

interface Texts {
  readonly template: string;
  /** The system text for conversations that have none. */
  readonly system?: string | undefined;
}

interface Reason {
  readonly reason: string;
}

/** A template, or the reason why there is none. `isDated` means that the texts contain the current date. */
export type GoTemplate = (Texts & { readonly isDated: boolean }) | Reason;

/** Texts that occur in no template. */
const MARKS: Readonly<Record<Role, string>> = { system: 'Σsystemς', user: 'Υuserυ', assistant: 'Αassistantα' };

/**
 * Derives a Go template from the output of the Jinja template: renders marks in place of texts, and takes the text around them. The result
 * is then compared with Jinja on conversations of several turns. A template that does more than wrap each turn is not converted.
 * @param now the time, for templates that write the date
 */
export function goTemplate(tokenizer: Tokenizer, now = new Date()): GoTemplate {
  const { chatTemplate: template, specialTokens } = tokenizer;
  if (template === undefined) return { reason: 'the model has no chat template' };
  const at = (date: Date): Texts | Reason => textsOf(tokenizer, createChatTemplate({ template, specialTokens, now: () => date }));
  try {
    const found = at(now);
    if ('reason' in found) return found;
    const later = at(new Date(now.getTime() + YEAR_MS));
    return { ...found, isDated: 'reason' in later || later.template !== found.template || later.system !== found.system };
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    return { reason: `its chat template does not render: ${error.message.split('\n')[0]}` };
  }
}

const YEAR_MS = 366 * 24 * 3_600_000;

function textsOf(tokenizer: Tokenizer, jinja: ChatTemplate): Texts | Reason {
  const render: Render = (messages, addGenerationPrompt) => jinja.render(messages, { addGenerationPrompt });
  const begin = tokenizer.bosId === undefined ? '' : (tokenizer.token(tokenizer.bosId) ?? '');
  const ends = tokenizer.eosIds.flatMap(id => tokenizer.token(id) ?? []);
  const chat = linear(render, { begin, ends });
  const start = chat && startWithoutSystem(render, chat);
  if (chat === undefined || start === undefined) return { reason: 'its chat template does more than wrap each turn' };
  const lead = addsOwnBegin(tokenizer, chat.lead) ? '' : chat.lead;
  const template = goText({ ...chat, lead }, start.head);
  return template === undefined
    ? { reason: 'its chat template has signs that a Modelfile cannot hold' }
    : { template, system: start.system };
}

type Render = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

const message = (role: Role, content: string = MARKS[role]): ChatMessage => ({ role, content });

/** `begin` is the token that begins a text, if the tokenizer has one; `ends` are the tokens that end it. */
interface TextSigns {
  readonly begin: string;
  readonly ends: readonly string[];
}

function linear(render: Render, { begin, ends }: TextSigns): LinearChat | undefined {
  const hasSystem = isPossible(() => render([message('system'), message('user')], false).includes(MARKS.system));
  const first = hasSystem ? [message('system')] : [];
  const marked = hasSystem ? /^(.*)Σsystemς(.*)Υuserυ(.*)Αassistantα(.*)Ωlast(.*)$/s : /^()(.*)Υuserυ(.*)Αassistantα(.*)Ωlast(.*)$/s;
  const dialog = render([...first, message('user'), message('assistant'), message('user', 'Ωlast')], true);
  const [found, head = '', beforeUser = '', afterUser = '', afterAssistant = '', tail = ''] = marked.exec(dialog) ?? [];
  const prompt = promptOf(render, first, ends);
  if (found === undefined || prompt === undefined || !tail.endsWith(prompt)) return undefined;
  const userAfter = tail.slice(0, tail.length - prompt.length);
  // A token that also begins later turns, like the first token of ChatML, belongs to the turns.
  const lead = dialog.startsWith(begin) && !afterAssistant.includes(begin) ? begin : '';
  // The turns of user and assistant usually end in the same way; otherwise the first user turn shows how it begins.
  const endsAlike = userAfter !== '' && afterAssistant.startsWith(userAfter);
  const own = hasSystem ? commonEnd(beforeUser, afterAssistant) : beforeUser.slice(lead.length);
  const userBefore = endsAlike ? afterAssistant.slice(userAfter.length) : own;
  if (!afterUser.startsWith(userAfter) || !afterAssistant.endsWith(userBefore) || !beforeUser.endsWith(userBefore)) return undefined;
  const system = { before: head.slice(lead.length), after: beforeUser.slice(0, beforeUser.length - userBefore.length) };
  const chat: LinearChat = {
    lead,
    turns: {
      ...(hasSystem && { system }),
      user: { before: userBefore, after: userAfter },
      assistant: { before: afterUser.slice(userAfter.length), after: afterAssistant.slice(0, afterAssistant.length - userBefore.length) },
    },
    prompt,
  };
  return isFaithful(render, chat) ? chat : undefined;
}

function isPossible(render: () => boolean): boolean {
  try {
    return render();
  } catch (error) {
    if (error instanceof ChatTemplateError) return false;
    throw error;
  }
}

/** The text that the generation prompt adds. Without it, some templates (Phi-3) write a token that ends the text. */
function promptOf(render: Render, first: readonly ChatMessage[], ends: readonly string[]): string | undefined {
  const messages = [...first, message('user')];
  const [without, withPrompt] = [render(messages, false), render(messages, true)];
  const open = ['', ...ends].filter(end => without.endsWith(end)).map(end => without.slice(0, without.length - end.length));
  const turns = open.find(text => withPrompt.startsWith(text));
  return turns === undefined ? undefined : withPrompt.slice(turns.length);
}

function commonEnd(a: string, b: string): string {
  let i = 0;
  while (i < Math.min(a.length, b.length) && a[a.length - 1 - i] === b[b.length - 1 - i]) i++;
  return a.slice(a.length - i);
}

/** Renders a conversation as the Go template does. */
function write({ lead, turns, prompt }: LinearChat, messages: readonly ChatMessage[]): string {
  const wrapped = messages.map(({ role, content }) => {
    const turn = isOneOf(ROLES, role) ? turns[role] : undefined;
    return turn ? `${turn.before}${String(content)}${turn.after}` : '';
  });
  return `${lead}${wrapped.join('')}${prompt}`;
}

/** Compares both templates on one turn and on several turns, also with a system text if there is a turn for it. */
function isFaithful(render: Render, chat: LinearChat): boolean {
  const dialog = [message('user', 'One?'), message('assistant', 'Two.'), message('user', 'Three, four?'), message('assistant', 'Five.')];
  const system = chat.turns.system ? [message('system', 'Be brief.')] : [];
  const asked = [1, 3].map(count => [...system, ...dialog.slice(0, count)]);
  return [...asked, [...system, ...dialog, message('user', 'Six?')]].every(messages => render(messages, true) === write(chat, messages));
}

/** The beginning of a conversation without a system text: that of the template, or a system text that the template adds. */
interface Start {
  /** The text after the lead. */
  readonly head: string;
  readonly system?: string;
}

/** The start; undefined if conversations with one question and with two begin differently. */
function startWithoutSystem(render: Render, chat: LinearChat): Start | undefined {
  const [question, dialog] = [1, 3].map(count =>
    [message('user', 'One?'), message('assistant', 'Two.'), message('user', 'Three?')].slice(0, count),
  );
  const heads = [required(question, 'a question'), required(dialog, 'a dialog')].map(messages => {
    const rest = write({ ...chat, lead: '' }, messages);
    const rendered = render(messages, true);
    return rendered.startsWith(chat.lead) && rendered.endsWith(rest) ? rendered.slice(chat.lead.length, -rest.length) : undefined;
  });
  const [head] = heads;
  if (head === undefined || head !== heads[1]) return undefined;
  const { before, after } = chat.turns.system ?? { before: '', after: '' };
  const text = head.slice(before.length, head.length - after.length);
  const isText = text !== '' && !text.includes('"""') && head === `${before}${text}${after}`;
  return isText && chat.turns.system ? { head: '', system: text } : { head };
}

/** True if Ollama adds this token before the text by itself, because the GGUF file says so. */
function addsOwnBegin(tokenizer: Tokenizer, lead: string): boolean {
  const { bosId } = tokenizer;
  return bosId !== undefined && lead === tokenizer.token(bosId) && tokenizer.encode('', { addSpecialTokens: true })[0] === bosId;
}

/** The Go template; undefined for text that Go or the Modelfile would interpret as syntax. */
function goText({ lead, turns, prompt }: LinearChat, head: string): string | undefined {
  const parts = [lead, head, prompt, ...Object.values(turns).flatMap(({ before, after }) => [before, after])];
  if (parts.some(part => part.includes('{{') || part.includes('"""'))) return undefined;
  const branches = Object.entries(turns).map(
    ([role, { before, after }], i) => `{{ ${i === 0 ? '' : 'else '}if eq .Role "${role}" }}${before}{{ .Content }}${after}`,
  );
  const start = head === '' ? '' : `{{ if not .System }}${head}{{ end }}`;
  return `${lead}${start}{{ range .Messages }}${branches.join('')}{{ end }}{{ end }}${prompt}`;
}
