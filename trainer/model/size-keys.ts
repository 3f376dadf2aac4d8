/** Names of sizes in configs: those of most models, and GPT-2's own. */

/** GPT-2's names of sizes, by the names that other decoders have. */
export const GPT2_SIZES = {
  hidden_size: 'n_embd',
  num_hidden_layers: 'n_layer',
  num_attention_heads: 'n_head',
  max_position_embeddings: 'n_positions',
} as const;

const ownNames: ReadonlyMap<string, string> = new Map(Object.entries(GPT2_SIZES));

/** The key under which a config states a size: the usual one, or GPT-2's own. */
export function sizeKeyIn(config: Readonly<Record<string, unknown>>, key: string): string {
  const own = ownNames.get(key);
  return own !== undefined && !Object.hasOwn(config, key) && Object.hasOwn(config, own) ? own : key;
}
