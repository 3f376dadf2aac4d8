/** Settings of a chat format as training reads it, with a published template chosen by the test. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FormatSettings } from '../../trainer/data/example/format-example.ts';

/** All settings except the format and the renderer. */
export const CHAT_FORMAT = {
  promptTemplate: '',
  labels: [],
  shownLabels: [],
  chat: 'auto',
  completionOnly: true,
  trainedTurns: 'all',
} as const satisfies Partial<FormatSettings>;

export const TEMPLATES = join(import.meta.dirname, '../golden/jinja/templates');

/** Returns the source of a template in `TEMPLATES`. */
export const templateNamed = (name: string): string => readFileSync(join(TEMPLATES, `${name}.jinja`), 'utf8');
