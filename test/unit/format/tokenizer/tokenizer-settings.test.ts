/** Tests that files that disagree with tokenizer.json are read as by Transformers' AutoTokenizer. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createTokenizer } from '../../../../trainer/format/tokenizer/tokenizer.ts';
import { readGoldenJson } from '../../../support/files/read-json.ts';

const record = z.record(z.string(), z.unknown());
const caseForm = z.object({
  config: record,
  files: record,
  ids: z.array(z.number()),
  text: z.string(),
  skipped: z.string(),
  bos: z.number().nullable(),
  eos: z.number().nullable(),
  pad: z.number().nullable(),
  special: z.record(z.string(), z.string()),
});
const golden = readGoldenJson('tokenizer_settings.json', z.object({ tokenizer: record, text: z.string(), cases: z.array(caseForm) }));

const open = (
  config: Record<string, unknown>,
  files: Record<string, unknown> = {},
  tokenizer: Record<string, unknown> = golden.tokenizer,
) => {
  const all = { 'tokenizer.json': tokenizer, 'tokenizer_config.json': config, ...files };
  return createTokenizer({ source: 'm', files: new Map(Object.entries(all).map(([name, value]) => [name, JSON.stringify(value)])) });
};

test.each(golden.cases.map(row => [JSON.stringify({ ...row.config, ...row.files }).slice(0, 140), row] as const))('%s', (_, row) => {
  const tokenizer = open(row.config, row.files);
  const ids = tokenizer.encode(golden.text, { addSpecialTokens: true });
  expect(ids).toEqual(row.ids);
  expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(row.text);
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(row.skipped);
  expect([tokenizer.bosId ?? null, tokenizer.eosIds[0] ?? null, tokenizer.padId ?? null]).toEqual([row.bos, row.eos, row.pad]);
  expect(tokenizer.specialTokens).toEqual(row.special);
});

test('a setting that is not supported, and one that contradicts tokenizer.json, are refused by name', () => {
  expect(() => open({ split_special_tokens: true })).toThrow('split_special_tokens');
  const bert = {
    ...golden.tokenizer,
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: false },
  };
  expect(() => open({ do_lower_case: true }, {}, bert)).toThrow('sets do_lower_case to true, but tokenizer.json has lowercase: false');
  expect(open({ do_lower_case: false }, {}, bert).vocabularySize).toBe(260);
});
