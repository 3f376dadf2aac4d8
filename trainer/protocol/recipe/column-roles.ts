/** The column names that `data.columns` can map to, by training target. */
import type { ObjectiveEntry } from '../../catalog/objectives.ts';

const ROLES: Readonly<Record<ObjectiveEntry['target'], readonly string[]>> = {
  tokens: ['text', 'label', 'instruction', 'input', 'output', 'system', 'prompt', 'completion', 'messages', 'conversations', 'images'],
  preference: ['system', 'prompt', 'chosen', 'rejected'],
  judgment: ['prompt', 'completion', 'label', 'messages', 'conversations', 'instruction', 'input', 'output', 'system'],
  label: ['text', 'text_pair', 'label'],
  labels: ['text', 'text_pair', 'label'],
  number: ['text', 'text_pair', 'label'],
  tags: ['tokens', 'tags'],
  similarity: ['anchor', 'positive', 'negative', 'score'],
};

/** The column names in the order in which a form asks for them. */
export const rolesOf = ({ target, reads, ranks }: ObjectiveEntry): readonly string[] =>
  reads === 'images' ? ['image', 'label'] : ranks === true ? ['query', 'document', 'label'] : ROLES[target];

/** Common names of columns for each key of a chat that a table can hold; of several names, the earlier pattern is preferred. */
const CHAT_NAMES = {
  instruction: [/^(?:questions?|query|q|ask|user|human|request|instruct(?:ions?)?|prompts?)$/i, /^inputs?$/i],
  output: [/^(?:answers?|a|responses?|repl(?:y|ies)|assistants?|bot|gpt|outputs?|completions?|targets?)$/i],
  input: [/^(?:contexts?|passages?|inputs?)$/i],
  system: [/^system(?:[ _-]?(?:prompt|message|instructions?))?$/i],
} as const;

/** The columns of questions and answers, and of what belongs to the question. */
export type ChatColumns = Readonly<Record<'instruction' | 'output', string>> & Readonly<Partial<Record<'input' | 'system', string>>>;

/** The columns of questions and answers, if there are keys with such names. */
export function chatColumns(keys: readonly string[]): ChatColumns | undefined {
  const find = (ours: keyof typeof CHAT_NAMES): string | undefined =>
    CHAT_NAMES[ours].map(names => keys.find(key => names.test(key))).find(key => key !== undefined);
  const [instruction, output, input, system] = [find('instruction'), find('output'), find('input'), find('system')];
  if (instruction === undefined || output === undefined) return undefined;
  return {
    instruction,
    ...(input !== undefined && input !== instruction && { input }),
    output,
    ...(system !== undefined && { system }),
  };
}
