/** Compares ids and decoded texts of more than 1,000 hard strings with Hugging Face's `tokenizers`, for every kind of tokenizer. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createTokenizer, type Tokenizer } from '../../../../../trainer/format/tokenizer/tokenizer.ts';
import { WORD_BREAK } from '../../../../../trainer/format/tokenizer/tokenizers/pipeline.ts';
import { openModel } from '../../../../../trainer/hub/open-model.ts';
import { elementAt } from '../../../../../trainer/narrow.ts';
import { cacheDir } from '../../../../support/cache-dir.ts';
import { readGoldenJson } from '../../../../support/files/read-json.ts';
import { goldenPath } from '../../../hub/model-bytes.ts';

const numbers = z.array(z.number());
const sameOr = z.union([z.string(), z.literal(0)]);
const goldenForm = z.object({
  tokenizer: z.unknown().optional(),
  /**
   * Ids without special tokens, and the texts of the ids with them, decoded with and without special tokens; 0 stands for the string
   * itself.
   */
  texts: z.array(z.tuple([numbers, sameOr, sameOr])),
  whole: z.array(z.tuple([z.number(), numbers])),
  pairs: z.array(z.tuple([z.string(), z.string(), numbers, numbers])),
  decoded: z.array(z.tuple([numbers, z.string(), z.string()])),
});

const read = <Form extends z.ZodType>(name: string, form: Form) => readGoldenJson(`tokenizers/${name}.json.gz`, form);
const strings = read('strings', z.array(z.string()));
const charsmap = read('charsmap', z.string());
const kinds = readdirSync(goldenPath('tokenizers'))
  .map(name => name.replace('.json.gz', ''))
  .filter(name => !['strings', 'charsmap', 'components'].includes(name));

const made = kinds.filter(kind => !kind.startsWith('real-'));
test.each(made)('%s: ids and texts are those of the tokenizers library', kind => {
  const golden = read(kind, goldenForm);
  const definition = JSON.stringify(golden.tokenizer).replaceAll('"CHARSMAP"', JSON.stringify(charsmap));
  hold(createTokenizer({ source: kind, files: new Map([['tokenizer.json', definition]]) }), golden);
});

test('bounds on the number of tokens by bytes are known for byte-level alphabets and for byte fallback', () => {
  const boundsOf = (kind: string) => {
    const definition = JSON.stringify(read(kind, goldenForm).tokenizer).replaceAll('"CHARSMAP"', JSON.stringify(charsmap));
    return createTokenizer({ source: kind, files: new Map([['tokenizer.json', definition]]) }).byteTokens;
  };
  const known = made.filter(kind => boundsOf(kind)?.breaksAtSpaces);
  expect(known).toEqual(expect.arrayContaining(['gpt2', 'llama3', 'qwen2', 'smollm2']));
  expect(made.filter(kind => boundsOf(kind)?.breaksAtSpaces === false)).toEqual(expect.arrayContaining(['gemma', 'llama2']));
  for (const kind of ['albert', 'gemma', 'llama2', 't5', 'bert-cased', 'word-level']) expect(known).not.toContain(kind);
});

const real = kinds.filter(kind => kind.startsWith('real-')).map(kind => kind.slice('real-'.length));
const present = real.filter(name => existsSync(join(cacheDir, 'models', name)));
test.skipIf(present.length < real.length)(`the real tokenizers of ${real.join(' and ')} (in ${cacheDir}/models)`, async () => {
  for (const name of present) {
    const model = await openModel(join(cacheDir, 'models', name));
    hold(await model.loadTokenizer(), read(`real-${name}`, goldenForm));
    await model.weights.close();
  }
});

function hold(tokenizer: Tokenizer, golden: z.infer<typeof goldenForm>): void {
  const differences: unknown[] = [];
  const compare = (what: string, input: unknown, actual: unknown, expected: unknown): void => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) differences.push([what, input, actual, expected]);
  };
  for (const [i, [ids, kept, skipped]] of golden.texts.entries()) {
    const text = elementAt(strings, i);
    compare('ids', text, tokenizer.encode(text, { addSpecialTokens: false }), ids);
    const whole = tokenizer.encode(text, { addSpecialTokens: true });
    compare('text', text, tokenizer.decode(whole, { skipSpecialTokens: false }), kept === 0 ? text : kept);
    compare('text without specials', text, tokenizer.decode(whole, { skipSpecialTokens: true }), skipped === 0 ? text : skipped);
  }
  const { mostPerByte, hasToken } = tokenizer.byteTokens ?? { mostPerByte: Number.MAX_VALUE, hasToken: () => false };
  for (const [i, [ids]] of golden.texts.entries()) {
    const text = elementAt(strings, i);
    const isPart = tokenizer.byteTokens?.breaksAtSpaces === true && /^ [A-Za-z]/.test(text);
    const [least, most] = [Number(hasToken(text)), mostPerByte * Buffer.byteLength(text) + Number(!isPart)];
    compare('bounds', text, ids.length >= least && ids.length <= most, true);
  }
  if (tokenizer.byteTokens?.breaksAtSpaces)
    for (const [i, [ids]] of golden.texts.entries()) {
      const text = elementAt(strings, i);
      for (const { index } of [...text.matchAll(WORD_BREAK)].slice(0, 6)) {
        const parts = [text.slice(0, index + 1), text.slice(index + 1)].map(part => tokenizer.encode(part, { addSpecialTokens: false }));
        compare('parts', [text, index], parts.flat(), ids);
        compare('bounds', text, elementAt(parts, 1).length <= mostPerByte * Buffer.byteLength(text.slice(index + 1)), true);
      }
    }
  for (const [i, ids] of golden.whole)
    compare('with specials', strings[i], tokenizer.encode(elementAt(strings, i), { addSpecialTokens: true }), ids);
  for (const [first, second, ids, types] of golden.pairs)
    compare('pair', [first, second], tokenizer.encodePair(first, second), { ids, types });
  for (const [ids, kept, skipped] of golden.decoded) {
    compare('decode', ids, tokenizer.decode(ids, { skipSpecialTokens: false }), kept);
    compare('decode without specials', ids, tokenizer.decode(ids, { skipSpecialTokens: true }), skipped);
  }
  expect(golden.texts.length).toBeGreaterThan(1000);
  expect(differences.slice(0, 8), `${differences.length} differences`).toEqual([]);
}
