/** The names of the layers of a block in weight files of BERT and its descendants. */
import type { BlockNames } from './post-norm-block.ts';

/** @param projections names of queries, keys and values */
export function bertBlock(prefix: string, block: number, projections: readonly [string, string, string]): BlockNames {
  const at = `${prefix}encoder.layer.${block}`;
  const [q, k, v] = projections;
  return {
    q: `${at}.attention.self.${q}`,
    k: `${at}.attention.self.${k}`,
    v: `${at}.attention.self.${v}`,
    o: `${at}.attention.output.dense`,
    attentionNorm: `${at}.attention.output.LayerNorm`,
    up: `${at}.intermediate.dense`,
    down: `${at}.output.dense`,
    outputNorm: `${at}.output.LayerNorm`,
  };
}

export function mpnetBlock(prefix: string, block: number): BlockNames {
  const at = `${prefix}encoder.layer.${block}`;
  return {
    q: `${at}.attention.attn.q`,
    k: `${at}.attention.attn.k`,
    v: `${at}.attention.attn.v`,
    o: `${at}.attention.attn.o`,
    attentionNorm: `${at}.attention.LayerNorm`,
    up: `${at}.intermediate.dense`,
    down: `${at}.output.dense`,
    outputNorm: `${at}.output.LayerNorm`,
  };
}

/** The names of blocks with rotary positions and a gated MLP, in memory in Transformers 5; files have others. */
function rotaryBlock(prefix: string, block: number, inFiles: BlockNames['inFiles']): BlockNames {
  const at = `${prefix}layers.${block}`;
  return {
    q: `${at}.self_attn.q_proj`,
    k: `${at}.self_attn.k_proj`,
    v: `${at}.self_attn.v_proj`,
    o: `${at}.self_attn.o_proj`,
    attentionNorm: `${at}.post_attention_layernorm`,
    gate: `${at}.mlp.gate_proj`,
    up: `${at}.mlp.up_proj`,
    down: `${at}.mlp.down_proj`,
    outputNorm: `${at}.post_mlp_layernorm`,
    inFiles,
  };
}

/** The parts of a tensor that joins queries, keys and values. */
const joined = (name: string) => ({ q: { name, of: 3, index: 0 }, k: { name, of: 3, index: 1 }, v: { name, of: 3, index: 2 } });

export function nomicBertBlock(prefix: string, block: number): BlockNames {
  const at = `${prefix}encoder.layers.${block}`;
  return rotaryBlock(prefix, block, {
    ...joined(`${at}.attn.Wqkv`),
    o: { name: `${at}.attn.out_proj` },
    attentionNorm: { name: `${at}.norm1` },
    gate: { name: `${at}.mlp.fc12` },
    up: { name: `${at}.mlp.fc11` },
    down: { name: `${at}.mlp.fc2` },
    outputNorm: { name: `${at}.norm2` },
  });
}

export function gteBlock(prefix: string, block: number): BlockNames {
  const at = `${prefix}encoder.layer.${block}`;
  const gated = (index: number) => ({ name: `${at}.mlp.up_gate_proj`, of: 2, index });
  return rotaryBlock(prefix, block, {
    ...joined(`${at}.attention.qkv_proj`),
    o: { name: `${at}.attention.o_proj` },
    attentionNorm: { name: `${at}.attn_ln` },
    up: gated(0),
    gate: gated(1),
    down: { name: `${at}.mlp.down_proj` },
    outputNorm: { name: `${at}.mlp_ln` },
  });
}

export function distilBertBlock(prefix: string, block: number): BlockNames {
  const at = `${prefix}transformer.layer.${block}`;
  return {
    q: `${at}.attention.q_lin`,
    k: `${at}.attention.k_lin`,
    v: `${at}.attention.v_lin`,
    o: `${at}.attention.out_lin`,
    attentionNorm: `${at}.sa_layer_norm`,
    up: `${at}.ffn.lin1`,
    down: `${at}.ffn.lin2`,
    outputNorm: `${at}.output_layer_norm`,
  };
}

export function albertBlock(prefix: string, group: number, inner: number): BlockNames {
  const at = `${prefix}encoder.albert_layer_groups.${group}.albert_layers.${inner}`;
  return {
    q: `${at}.attention.query`,
    k: `${at}.attention.key`,
    v: `${at}.attention.value`,
    o: `${at}.attention.dense`,
    attentionNorm: `${at}.attention.LayerNorm`,
    up: `${at}.ffn`,
    down: `${at}.ffn_output`,
    outputNorm: `${at}.full_layer_layer_norm`,
  };
}
