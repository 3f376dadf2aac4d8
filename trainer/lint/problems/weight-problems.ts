/**
 * Compares a config.json with the safetensors header next to it, shape by shape. Each difference is reported at the key that determines it.
 * Pure.
 */
import type { ModelConfig } from '../../format/model-config.ts';
import { weightMismatches } from '../../model/load-model.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { isTransposed } from '../../model/module-specs.ts';
import { sizeKeyIn } from '../../model/size-keys.ts';
import type { Tensors } from '../facts/folder-facts.ts';
import type { ConfigReport } from './config-codes.ts';

type DimensionKeys = readonly [rows: string, columns: string];

const VOCABULARY: DimensionKeys = ['vocab_size', 'hidden_size'];

/** The keys that determine the dimensions of a tensor, by the end of its name. For other names, the value decides. */
const dimensionKeys: readonly (readonly [RegExp, DimensionKeys])[] = [
  [/(?:embed_tokens|embed_in|word_embeddings|wte)\.weight$/, VOCABULARY],
  [/(?:position_embeddings|wpe)\.weight$/, ['max_position_embeddings', 'hidden_size']],
  [/token_type_embeddings\.weight$/, ['type_vocab_size', 'hidden_size']],
  [/q_proj\.(?:weight|bias)$/, ['num_attention_heads', 'hidden_size']],
  [/[kv]_proj\.(?:weight|bias)$/, ['num_key_value_heads', 'hidden_size']],
  [/[qk]_norm\.weight$/, ['head_dim', 'head_dim']],
  [/o_proj\.weight$/, ['hidden_size', 'num_attention_heads']],
  [/(?:gate|up)_proj\.(?:weight|bias)$/, ['intermediate_size', 'hidden_size']],
  [/down_proj\.weight$/, ['hidden_size', 'intermediate_size']],
  // GPT-2's layers, whose sizes are multiples of one.
  [/\.c_(?:attn|fc|proj)\.(?:weight|bias)$/, ['hidden_size', 'hidden_size']],
];

/** Keys whose value is the dimension itself, so that the weights show the right value. */
const PLAIN = new Set(['vocab_size', 'intermediate_size', 'max_position_embeddings', 'n_positions', 'type_vocab_size']);

/** Compares the shapes. @param unread tensors of missing files, whose shapes are unknown */
export function* weightProblems(
  model: AnyModel,
  config: ModelConfig,
  tensors: Tensors,
  unread: ReadonlySet<string> = new Set(),
): Generator<ConfigReport> {
  const byKey = new Map<string, { readonly messages: string[]; readonly sizes: Set<number> }>();
  const layers = sizeKeyIn(config, 'num_hidden_layers');
  const add = (usual: string, message: string, size?: number): void => {
    const key = sizeKeyIn(config, usual);
    const entry = byKey.get(key) ?? { messages: [], sizes: new Set<number>() };
    entry.messages.push(message);
    if (size !== undefined) entry.sizes.add(size);
    byKey.set(key, entry);
  };
  const wrong = new Set(weightMismatches(model, tensors).map(message => message.slice(0, message.indexOf(' '))));
  for (const spec of model.parameters) {
    const { name } = spec;
    if (!wrong.has(name) || unread.has(name)) continue;
    const shape = isTransposed(spec) ? spec.shape.toReversed() : spec.shape;
    const found = tensors.get(name)?.shape;
    if (found === undefined) add(missingKey(model, name), `${name} [${shape}] is missing from the weights`);
    else {
      const axis = shape[0] === found[0] ? 1 : 0;
      const key = keyOf(model, config, name, axis, shape[axis]);
      add(key, `${name} is [${found}] in the weights, but [${shape}] according to this file`, found[axis]);
    }
  }
  const blocks = blocksOf([...tensors.keys(), ...unread]);
  if (blocks > model.blocks) add('num_hidden_layers', `the weights have ${blocks} blocks, but this file says ${model.blocks}`, blocks);
  for (const [key, { messages, sizes }] of byKey) {
    const [first = '', ...more] = messages;
    const [size] = sizes;
    const isKnown = sizes.size === 1 && (PLAIN.has(key) || (key === layers && messages.length === 1));
    const message = more.length === 0 ? first : `${first}, and ${more.length} more`;
    yield { code: 'config-weights-mismatch', path: [key], message, replaceBy: isKnown ? String(size) : undefined };
  }
}

/** True for the weight of a language model's own head, whose name depends on the family. */
const isOwnHead = (model: AnyModel, name: string): boolean =>
  model.kind === 'causal' && model.head.part === 'head' && model.head.weight.name === name;

function keyOf(model: AnyModel, config: ModelConfig, name: string, axis: number, wanted: number | undefined): string {
  const keys = isOwnHead(model, name) ? VOCABULARY : dimensionKeys.find(([pattern]) => pattern.test(name))?.[1];
  const named = keys?.[axis];
  if (named !== undefined && Object.hasOwn(config, sizeKeyIn(config, named))) return named;
  const equal = Object.entries(config).find(
    ([key, value]) => value === wanted && /size|dim|positions|heads|labels|embeddings|embd/.test(key),
  );
  return equal?.[0] ?? named ?? 'architectures';
}

function missingKey(model: AnyModel, name: string): string {
  if (isOwnHead(model, name)) return 'tie_word_embeddings';
  if (/(?<!\.c)_proj\.bias$/.test(name)) return 'attention_bias';
  return blockOf(name) === undefined ? 'architectures' : 'num_hidden_layers';
}

/** The block number in a tensor's name. */
const blockOf = (name: string): number | undefined => {
  const found = /(?:\.layers?|(?:^|\.)h)\.(\d+)\./.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
};

function blocksOf(names: readonly string[]): number {
  let most = -1;
  for (const name of names) most = Math.max(most, blockOf(name) ?? -1);
  return most + 1;
}
