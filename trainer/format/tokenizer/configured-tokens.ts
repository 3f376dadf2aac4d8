/** Added tokens of tokenizer.json, modified by the other files of its folder in the same way as when Transformers loads them. */

import { isOneOf } from '../../catalog/entries.ts';
import { isRecord, required } from '../../narrow.ts';

type TokenRecord = Readonly<Record<string, unknown>>;

/** The names of special tokens that every tokenizer may have, in Transformers' order. */
const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;

/** The text of a token, which is a string or an object with `content`. */
export function tokenText(value: unknown): string | undefined {
  const text = isRecord(value) ? value.content : value;
  return typeof text === 'string' ? text : undefined;
}

/**
 * Merges added tokens. Tokens that tokenizer_config.json, special_tokens_map.json and added_tokens.json name but tokenizer.json lacks get
 * the next ids. A token that these files call special is special, and is omitted from texts without special tokens.
 * @param listed `added_tokens` of tokenizer.json
 */
export function configuredTokens(listed: unknown, { settings, added }: SpecialSettings): readonly TokenRecord[] {
  const found = new Map<string, TokenRecord>();
  for (const token of Array.isArray(listed) ? listed : [])
    if (isRecord(token) && typeof token.content === 'string') found.set(token.content, token);
  const { named, unnamed } = specialTokens(settings);
  const special = [...named, ...unnamed];
  const isNamed = new Set(special.map(tokenText));
  const decoder = isRecord(settings.added_tokens_decoder) ? settings.added_tokens_decoder : undefined;
  if (decoder !== undefined) {
    const entries = Object.entries(decoder).sort(([a], [b]) => Number(a) - Number(b));
    for (const [, token] of entries) if (isRecord(token) && typeof token.content === 'string') found.set(token.content, token);
  } else {
    for (const content of Object.keys(added))
      if (!found.has(content)) found.set(content, { content, special: isNamed.has(content), normalized: !isNamed.has(content) });
  }
  for (const token of special) {
    const content = required(tokenText(token), 'the text of a special token');
    const known = found.get(content);
    // A token without a role keeps its flags from the file.
    if (known !== undefined && !named.includes(token)) continue;
    const flags = known ?? (isRecord(token) ? token : { normalized: false });
    found.set(content, { ...flags, content, special: true });
  }
  return [...found.values()];
}

/** The special tokens with a role (common ones first, then the model's own), and those without one. */
function specialTokens(settings: SpecialSettings['settings']): {
  readonly named: readonly unknown[];
  readonly unnamed: readonly unknown[];
} {
  const { extra_special_tokens: extra, additional_special_tokens: additional } = settings;
  const isText = (value: unknown): boolean => tokenText(value) !== undefined && tokenText(value) !== '';
  const own = Object.keys(settings).filter(key => key.endsWith('_token') && typeof settings[key] === 'string' && !isOneOf(NAMED, key));
  const listed = Array.isArray(extra) && extra.length > 0 ? extra : additional;
  return {
    named: [...[...NAMED, ...own].map(key => settings[key]), ...(isRecord(extra) ? Object.values(extra) : [])].filter(isText),
    unnamed: isRecord(extra) || !Array.isArray(listed) ? [] : listed.filter(isText),
  };
}

/** The special tokens and settings that the files next to a vocabulary define. */
export interface SpecialSettings {
  /** `cls_token` … → text, if the files name them. */
  readonly tokens: Readonly<Record<string, string>>;
  /** The contents of tokenizer_config.json. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Text → id of the tokens that added_tokens.json and tokenizer_config.json add to the vocabulary. */
  readonly added: Readonly<Record<string, number>>;
}
