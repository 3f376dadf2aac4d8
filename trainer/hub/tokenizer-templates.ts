/** What a tokenizer puts around a text and between two, as `post_processor` of tokenizer.json. */

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

/** A begin and an end token around each text, where there are such; null where there is neither. */
export function causalTemplate(bos: string | undefined, eos: string | undefined, idOf: (token: string) => number | undefined): unknown {
  if (bos === undefined && eos === undefined) return null;
  const sequence = (id: 'A' | 'B', type: number): TemplatePart[] => [
    ...(bos === undefined ? [] : [token(bos, type)]),
    text(id, type),
    ...(eos === undefined ? [] : [token(eos, type)]),
  ];
  return template(sequence('A', 0), [...sequence('A', 0), ...sequence('B', 1)], idOf);
}
