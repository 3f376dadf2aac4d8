/** Settings of a chat as training reads it, with the published template that a test gives. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FormatSettings } from '../../trainer/data/example/format-example.ts';

/** All but the format and the renderer. */
export const CHAT_FORMAT = {
  promptTemplate: '',
  labels: [],
  shownLabels: [],
  chat: 'auto',
  completionOnly: true,
  trainedTurns: 'all',
} as const satisfies Partial<FormatSettings>;

export const TEMPLATES = join(import.meta.dirname, '../golden/jinja/templates');

/** The source of a template of `TEMPLATES`. */
export const templateNamed = (name: string): string => readFileSync(join(TEMPLATES, `${name}.jinja`), 'utf8');
