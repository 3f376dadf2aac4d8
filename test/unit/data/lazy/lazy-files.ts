/** Opens data files as runs over large data do, and as runs that tokenize up front. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { chatRendererOf } from '../../../../trainer/data/chat/chat-renderer.ts';
import { type OpenedInOrder, openInOrder } from '../../../../trainer/data/lazy/open-lazy.ts';
import { type DatasetSettings, loadDataset } from '../../../../trainer/data/load/load-dataset.ts';
import { createTokenizer, type Tokenizer } from '../../../../trainer/format/tokenizer/tokenizer.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { byteLevelTokenizer, CHATML } from '../../../support/models/byte-tokenizer.ts';
import { datasetSettings } from '../data-files.ts';

export const root = join(import.meta.dirname, '..', '..', '..', '..');
const threadFile = join(root, 'dist', 'tokenize.js');
if (!existsSync(threadFile)) throw new Error('dist/tokenize.js is missing: npm run build');

export const TRIMS =
  '{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}';
export const LOUD =
  "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{{ m.content }}{% else %}{{ m.content | upper }}{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

const tokenizers = new Map<string, Tokenizer>();
export function tokenizerWith(template: string | undefined, definition: string): Tokenizer {
  const key = `${template} ${definition}`;
  const known = tokenizers.get(key);
  if (known) return known;
  const made = createTokenizer({
    source: 'bytes',
    files: new Map([
      ['tokenizer.json', definition],
      [
        'tokenizer_config.json',
        JSON.stringify({
          bos_token: '<|endoftext|>',
          eos_token: '<|endoftext|>',
          ...(template !== undefined && { chat_template: template }),
        }),
      ],
    ]),
  });
  tokenizers.set(key, made);
  return made;
}

export interface Opening {
  /** Empty for none; ChatML by default. */
  readonly template?: string;
  /** The text of a tokenizer.json. */
  readonly definition?: string;
  readonly maxLength?: number;
  readonly settings?: Partial<DatasetSettings>;
  readonly threads?: number;
  readonly cacheDir?: string;
  readonly segmentBytes?: number;
  readonly isEager?: boolean;
  readonly lazyBytes?: number;
  readonly logged?: string[];
}

export const inputOf = (
  file: string | readonly string[],
  { template = CHATML, definition = byteLevelTokenizer(), maxLength = 100, settings, threads = 1, cacheDir, logged = [] }: Opening,
) => {
  const tokenizer = tokenizerWith(template === '' ? undefined : template, definition);
  return {
    paths: [file].flat(),
    settings: { ...datasetSettings, truncation: 'turns' as const, seed: 3, ...settings },
    tokenizer,
    chatRenderer: chatRendererOf(tokenizer),
    maxLength,
    maxPositions: 512,
    large: {
      tokenizer: tokenizer.input,
      now: new Date(0),
      cacheDir: cacheDir ?? makeTemporaryFolder(),
      threads,
      threadFile,
      minBytes: 0,
      log: (level: string, message: string) => void logged.push(`${level}: ${message}`),
    },
  };
};

export async function opened(file: string | readonly string[], opening: Opening = {}): Promise<OpenedInOrder> {
  const { segmentBytes = 700, isEager = false } = opening;
  const found = await openInOrder({ ...inputOf(file, opening), lazyBytes: opening.lazyBytes ?? 0, segmentBytes, isEager });
  if (found === undefined || 'reason' in found) throw new Error(found?.reason ?? 'small');
  return found;
}

export const eager = (file: string | readonly string[], opening: Opening = {}) => {
  const { large: _, ...input } = inputOf(file, opening);
  return loadDataset(input);
};

/**
 * Expects that a file has the same samples and counts as data tokenized up front, some of which are dropped.
 * @returns the file, opened with one thread and with two
 */
export async function expectAsEager(file: string, settings: Partial<DatasetSettings>): Promise<OpenedInOrder[]> {
  const { examples, report } = await eager(file, { settings });
  expect(report.dropped).not.toEqual({});
  const both: OpenedInOrder[] = [];
  for (const threads of [1, 2]) {
    const found = await opened(file, { settings, threads });
    both.push(found);
    expect(found.index).toMatchObject({ read: report.read, dropped: report.dropped });
    expect([...found.examples]).toEqual([...examples]);
  }
  return both;
}

const random = createRandom(5);
const SIGNS = ['', ' ', ' é', ' 漢字', ' 🙂', '\n\n', ' <|im_end|>', '"quoted"', ' tab\t', '  '];
/** Returns up to `most` words, with characters that templates and tokenizers treat specially. */
export const words = (most: number): string =>
  `w${Array.from({ length: 1 + random.below(most) }, () => `word${random.below(97)}${SIGNS[random.below(40)] ?? ''}`).join(' ')}`;

export const lines = (values: readonly object[], end = '\n'): string => values.map(value => JSON.stringify(value)).join(end);
