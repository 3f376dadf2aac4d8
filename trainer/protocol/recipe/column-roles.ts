/** The column names that `data.columns` can map to, by training target. */
import type { ObjectiveEntry } from '../../catalog/objectives.ts';

const ROLES: Readonly<Record<ObjectiveEntry['target'], readonly string[]>> = {
  tokens: ['text', 'label', 'instruction', 'input', 'output', 'prompt', 'completion', 'messages', 'conversations', 'images'],
  preference: ['prompt', 'chosen', 'rejected'],
  judgment: ['prompt', 'completion', 'label', 'messages', 'conversations', 'instruction', 'input', 'output'],
  label: ['text', 'text_pair', 'label'],
  labels: ['text', 'text_pair', 'label'],
  number: ['text', 'text_pair', 'label'],
  tags: ['tokens', 'tags'],
  similarity: ['anchor', 'positive', 'negative', 'score'],
};

/** The column names in the order in which a form asks for them. */
export const rolesOf = ({ target, reads }: ObjectiveEntry): readonly string[] => (reads === 'images' ? ['image', 'label'] : ROLES[target]);

/** Common names of columns with questions, and of columns with answers. */
const QUESTIONS = /^(?:questions?|query|q|ask|user|human|request|instruct(?:ions?)?|prompts?|inputs?)$/i;
const ANSWERS = /^(?:answers?|a|responses?|repl(?:y|ies)|assistants?|bot|gpt|outputs?|completions?|targets?)$/i;

/** The columns of questions and answers, if there are keys with such names. */
export function chatColumns(keys: readonly string[]): Readonly<Record<'instruction' | 'output', string>> | undefined {
  const [question, answer] = [QUESTIONS, ANSWERS].map(names => keys.find(key => names.test(key)));
  return question === undefined || answer === undefined ? undefined : { instruction: question, output: answer };
}
