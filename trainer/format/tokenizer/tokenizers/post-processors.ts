/** The `post_processor` of tokenizer.json: the special tokens around one text, or around and between two. */
import { isRecord } from '../../../narrow.ts';
import { build, type Component, list, steps } from './component.ts';

export interface Encoded {
  readonly ids: readonly number[];
  /** The segment of each token. */
  readonly types: readonly number[];
}

/** Post-processes one text, or two. */
export type PostProcess = (first: Encoded, second: Encoded | undefined) => Encoded;

/** Maximum number of tokens in a template; published ones add up to a dozen to a text. */
const MAX_TEMPLATE_TOKENS = 1000;

const KINDS: Readonly<Record<string, (component: Component, depth: number) => PostProcess>> = {
  ByteLevel: () => plain,
  BertProcessing: component => {
    const [cls, sep] = [tokenId(component, 'cls'), tokenId(component, 'sep')];
    const around = (text: Encoded, type: number, before: readonly number[]): Encoded => uniform([...before, ...text.ids, sep], type);
    return (first, second) => joined([around(first, 0, [cls]), ...(second === undefined ? [] : [around(second, 1, [])])]);
  },
  RobertaProcessing: component => {
    const [cls, sep] = [tokenId(component, 'cls'), tokenId(component, 'sep')];
    return (first, second) =>
      joined([uniform([cls, ...first.ids, sep], 0), ...(second === undefined ? [] : [uniform([sep, ...second.ids, sep], 0)])]);
  },
  TemplateProcessing: template,
  Sequence: (component, depth) => {
    const inner = steps(component, 'processors').map(step => build('post_processor', step, KINDS, depth + 1));
    return (first, second) => {
      // All steps except the one that adds tokens leave a text unchanged.
      const adding = inner.filter(step => step !== plain);
      if (adding.length > 1) throw new Error('its post_processor adds special tokens twice');
      return (adding[0] ?? plain)(first, second);
    };
  },
};

/** @throws Error for an unknown kind or a wrong field */
export const createPostProcessor = (value: unknown): PostProcess =>
  value === null || value === undefined ? plain : build('post_processor', value, KINDS);

const isId = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const uniform = (ids: readonly number[], type: number): Encoded => ({ ids, types: ids.map(() => type) });

const joined = (parts: readonly Encoded[]): Encoded => ({
  ids: parts.flatMap(({ ids }) => ids),
  types: parts.flatMap(({ types }) => types),
});

/** Concatenates two texts, the second with type 1. */
const plain: PostProcess = (first, second) => joined([first, ...(second === undefined ? [] : [uniform(second.ids, 1)])]);

function template(component: Component): PostProcess {
  const tokens = isRecord(component.special_tokens) ? component.special_tokens : {};
  const part = (value: unknown): ((first: Encoded, second: Encoded | undefined) => Encoded) => {
    const [kind, content] = isRecord(value) ? (Object.entries(value)[0] ?? []) : [];
    const { id, type_id: type } = isRecord(content) ? content : {};
    if (typeof type !== 'number' || typeof id !== 'string') throw new Error('TemplateProcessing has a part without an id or a type_id');
    if (kind === 'Sequence') return (first, second) => uniform((id === 'A' ? first : (second ?? { ids: [] })).ids, type);
    const special = Object.hasOwn(tokens, id) ? tokens[id] : undefined;
    const ids = isRecord(special) ? special.ids : undefined;
    if (kind !== 'SpecialToken' || !Array.isArray(ids) || ids.length > MAX_TEMPLATE_TOKENS || !ids.every(isId))
      throw new Error(`TemplateProcessing has no ids of ${id.slice(0, 80)}, or more than ${MAX_TEMPLATE_TOKENS}`);
    return () => uniform(ids, type);
  };
  const parts = (key: 'single' | 'pair'): ReadonlyArray<ReturnType<typeof part>> => {
    const found = list(component, key);
    if (found.length > MAX_TEMPLATE_TOKENS)
      throw new Error(`TemplateProcessing has ${found.length} parts in ${key}; at most ${MAX_TEMPLATE_TOKENS} are supported`);
    return found.map(part);
  };
  const [single, pair] = [parts('single'), parts('pair')];
  return (first, second) => joined((second === undefined ? single : pair).map(make => make(first, second)));
}

function tokenId(component: Component, key: string): number {
  const value = component[key];
  const id: unknown = Array.isArray(value) ? value[1] : undefined;
  if (!isId(id)) throw new Error(`${String(component.type)} has no token in ${key}`);
  return id;
}
