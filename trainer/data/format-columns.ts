/** The columns that the readers of the formats use. */
import type { DataFormat, DataRecord } from './types.ts';
import { IMAGE_COLUMNS } from './vision/image-parts.ts';

/** OpenAI's old name of the tools. Chats with it are refused; other formats do not read it. */
const OLD_TOOLS = 'functions';

/** The keys that a chat may have next to its turns. */
export const OF_CHATS: readonly string[] = ['tools', OLD_TOOLS, 'documents', 'chat_template_kwargs'];

/** The columns that the readers of each format use. */
export const OF_FORMAT: Readonly<Record<DataFormat, readonly string[]>> = {
  preference: ['chosen', 'rejected'],
  alpaca: ['instruction', 'input', 'output', 'system', 'tools'],
  messages: ['messages', ...OF_CHATS],
  sharegpt: ['conversations', 'system', ...OF_CHATS],
  prompt_completion: ['prompt', 'completion', 'tools'],
  text: ['text'],
  text_label: ['text', 'label', 'tools'],
};

/** The columns that the readers of compared or judged answers use. */
export const OF_ANSWERS: readonly string[] = [...new Set([...Object.values(OF_FORMAT).flat(), 'question', 'margin', 'kto_tag'])];

/** Formats of which every column that matters is known; a chat template may read others next to a list of turns. */
const FIXED: ReadonlySet<DataFormat> = new Set<DataFormat>(['alpaca', 'prompt_completion']);

/** The columns of a record that no reader uses, so that a prompt does not lose its context silently. */
export const unreadColumns = ({ value }: DataRecord, format: DataFormat): readonly string[] =>
  FIXED.has(format)
    ? Object.keys(value).filter(key => (!OF_ANSWERS.includes(key) || key === OLD_TOOLS) && !IMAGE_COLUMNS.some(name => name === key))
    : [];
