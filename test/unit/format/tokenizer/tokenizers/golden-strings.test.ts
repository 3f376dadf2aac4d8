/** Ids and decoded texts of more than 1,000 hard strings, held against Hugging Face's `tokenizers` for every kind of tokenizer. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createTokenizer, type Tokenizer } from '../../../../../trainer/format/tokenizer/tokenizer.ts';
import { openModel } from '../../../../../trainer/hub/open-model.ts';
import { cacheDir } from '../../../../support/cache-dir.ts';
import { goldenPath } from '../../../hub/model-bytes.ts';

interface Golden {
  readonly tokenizer: Record<string, unknown>;
  /** Ids without special tokens; the text of the ids with them, both with and without special tokens, 0 where it is the string itself. */
  readonly texts: ReadonlyArray<readonly [number[], string | 0, string | 0]>;
  readonly whole: ReadonlyArray<readonly [number, number[]]>;
  readonly pairs: ReadonlyArray<readonly [string, string, number[], number[]]>;
  readonly decoded: ReadonlyArray<readonly [number[], string, string]>;
}

const read = <T>(name: string): T => JSON.parse(gunzipSync(readFileSync(goldenPath(`tokenizers/${name}.json.gz`))).toString('utf8')) as T;
const strings = read<string[]>('strings');
const charsmap = read<string>('charsmap');
const kinds = readdirSync(goldenPath('tokenizers'))
  .map(name => name.replace('.json.gz', ''))
  .filter(name => !['strings', 'charsmap', 'components'].includes(name));

const made = kinds.filter(kind => !kind.startsWith('real-'));
test.each(made)('%s: ids and texts are those of the tokenizers library', kind => {
  const golden = read<Golden>(kind);
  const definition = JSON.stringify(golden.tokenizer).replaceAll('"CHARSMAP"', JSON.stringify(charsmap));
  hold(createTokenizer({ source: kind, files: new Map([['tokenizer.json', definition]]) }), golden);
});

const real = kinds.filter(kind => kind.startsWith('real-')).map(kind => kind.slice('real-'.length));
const present = real.filter(name => existsSync(join(cacheDir, 'models', name)));
test.skipIf(present.length < real.length)(`the real tokenizers of ${real.join(' and ')} (in ${cacheDir}/models)`, async () => {
  for (const name of present) {
    const model = await openModel(join(cacheDir, 'models', name));
    hold(await model.loadTokenizer(), read<Golden>(`real-${name}`));
    await model.weights.close();
  }
});

function hold(tokenizer: Tokenizer, golden: Golden): void {
  const differences: unknown[] = [];
  const compare = (what: string, input: unknown, actual: unknown, expected: unknown): void => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) differences.push([what, input, actual, expected]);
  };
  for (const [i, [ids, kept, skipped]] of golden.texts.entries()) {
    const text = strings[i] as string;
    compare('ids', text, tokenizer.encode(text, { addSpecialTokens: false }), ids);
    const whole = tokenizer.encode(text, { addSpecialTokens: true });
    compare('text', text, tokenizer.decode(whole, { skipSpecialTokens: false }), kept === 0 ? text : kept);
    compare('text without specials', text, tokenizer.decode(whole, { skipSpecialTokens: true }), skipped === 0 ? text : skipped);
  }
  for (const [i, ids] of golden.whole)
    compare('with specials', strings[i], tokenizer.encode(strings[i] as string, { addSpecialTokens: true }), ids);
  for (const [first, second, ids, types] of golden.pairs)
    compare('pair', [first, second], tokenizer.encodePair(first, second), { ids, types });
  for (const [ids, kept, skipped] of golden.decoded) {
    compare('decode', ids, tokenizer.decode(ids, { skipSpecialTokens: false }), kept);
    compare('decode without specials', ids, tokenizer.decode(ids, { skipSpecialTokens: true }), skipped);
  }
  expect(golden.texts.length).toBeGreaterThan(1000);
  expect(differences.slice(0, 8), `${differences.length} differences`).toEqual([]);
}
