/** Parts of tokenizer.json that families share: special tokens, and the tokens around one text or two (`post_processor`). */

export const BERT_TOKENS = { unk_token: '[UNK]', sep_token: '[SEP]', pad_token: '[PAD]', cls_token: '[CLS]', mask_token: '[MASK]' };
export const ROBERTA_TOKENS = {
  bos_token: '<s>',
  eos_token: '</s>',
  unk_token: '<unk>',
  sep_token: '</s>',
  pad_token: '<pad>',
  cls_token: '<s>',
  mask_token: '<mask>',
};

export const ESM_TOKENS = { unk_token: '<unk>', cls_token: '<cls>', pad_token: '<pad>', mask_token: '<mask>', eos_token: '<eos>' };

/** An entry of `added_tokens`. @param lstrip the token includes the space before it */
export const addedToken = (id: number, content: string, { special, lstrip = false }: { special: boolean; lstrip?: boolean }) => ({
  id,
  content,
  single_word: false,
  lstrip,
  rstrip: false,
  normalized: false,
  special,
});

interface TemplatePart {
  readonly [kind: string]: { readonly id: string; readonly type_id: number };
}

const text = (id: 'A' | 'B', type_id: number): TemplatePart => ({ Sequence: { id, type_id } });
const token = (id: string, type_id: number): TemplatePart => ({ SpecialToken: { id, type_id } });

function template(single: readonly TemplatePart[], pair: readonly TemplatePart[], idOf: (token: string) => number | undefined): unknown {
  const used = new Set([...single, ...pair].flatMap(part => (part.SpecialToken === undefined ? [] : [part.SpecialToken.id])));
  return {
    type: 'TemplateProcessing',
    single,
    pair,
    special_tokens: Object.fromEntries([...used].map(id => [id, { id, ids: [idOf(id)], tokens: [id] }])),
  };
}

/** `[CLS] A [SEP] B [SEP]` with types 0 and 1. */
export const bertTemplate = (cls: string, sep: string, idOf: (token: string) => number | undefined): unknown =>
  template([token(cls, 0), text('A', 0), token(sep, 0)], [token(cls, 0), text('A', 0), token(sep, 0), text('B', 1), token(sep, 1)], idOf);

/** `<s> A </s></s> B </s>`, all of type 0. */
export const robertaTemplate = (cls: string, sep: string, idOf: (token: string) => number | undefined): unknown =>
  template(
    [token(cls, 0), text('A', 0), token(sep, 0)],
    [token(cls, 0), text('A', 0), token(sep, 0), token(sep, 0), text('B', 0), token(sep, 0)],
    idOf,
  );

/** `<cls> A <eos> B <eos>`, all of type 0; without an end token, `<cls> A` alone. */
export const esmTemplate = (cls: string, eos: string | undefined, idOf: (token: string) => number | undefined): unknown => {
  const end = eos === undefined ? [] : [token(eos, 0)];
  const single = [token(cls, 0), text('A', 0), ...end];
  return template(single, [...single, text('B', 0), ...end], idOf);
};

/** A begin and an end token around each text, if they exist; null if neither does. */
export function causalTemplate(bos: string | undefined, eos: string | undefined, idOf: (token: string) => number | undefined): unknown {
  if (bos === undefined && eos === undefined) return null;
  const sequence = (id: 'A' | 'B', type: number): TemplatePart[] => [
    ...(bos === undefined ? [] : [token(bos, type)]),
    text(id, type),
    ...(eos === undefined ? [] : [token(eos, type)]),
  ];
  return template(sequence('A', 0), [...sequence('A', 0), ...sequence('B', 1)], idOf);
}
