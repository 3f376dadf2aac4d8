/**
 * Writes tokenizer.json and tokenizer_config.json for the tiny Llama in `../llama`, which has no tokenizer: one token per printable ASCII
 * character and the line break (128 ids: 0 pad, 1 begin, 2 end, 3 unknown, 4 the line break, 32–126 as in ASCII, the rest unused).
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const specials = ['<pad>', '<s>', '</s>', '<unk>'];
const vocab = Object.fromEntries(specials.map((token, id) => [token, id]));
vocab['\n'] = 4;
for (let code = 32; code < 127; code++) vocab[String.fromCharCode(code)] = code;
for (let id = 5; id < 128; id++) if (id < 32 || id === 127) vocab[`<unused_${id}>`] = id;

const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: specials.map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
  normalizer: null,
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<unk>',
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab,
    merges: [],
  },
};
const config = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  pad_token: '<pad>',
  bos_token: '<s>',
  eos_token: '</s>',
  unk_token: '<unk>',
  model_max_length: 64,
};
for (const [name, value] of Object.entries({ 'tokenizer.json': tokenizer, 'tokenizer_config.json': config }))
  writeFileSync(path.join(import.meta.dirname, name), `${JSON.stringify(value, null, 1)}\n`);
