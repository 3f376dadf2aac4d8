/** The names of the tensors of LFM2 and LFM3. */
import { underOtherNames } from '../../../module-specs.ts';
import { type DecoderNames, TEXT_PART, withNorms } from './names.ts';

/** LFM2's names; blocks may have a convolution in place of attention. @param prefix of all names but the head's, with its dot */
const lfm2NamesWith = (prefix: string): DecoderNames => ({
  ...withNorms({}, prefix),
  finalNorm: `${prefix}embedding_norm`,
  block: layer => {
    const own = withNorms({}, prefix).block(layer);
    const { at } = own;
    return {
      ...own,
      o: `${at}.self_attn.out_proj`,
      qNorm: `${at}.self_attn.q_layernorm`,
      kNorm: `${at}.self_attn.k_layernorm`,
      gate: `${at}.feed_forward.w1`,
      up: `${at}.feed_forward.w3`,
      down: `${at}.feed_forward.w2`,
      norms: { beforeAttention: `${at}.operator_norm`, beforeMlp: `${at}.ffn_norm` },
    };
  },
});
export const lfm2Names = lfm2NamesWith('model.');

/** The layers of MLPs in files of MLX, if other blocks have experts. */
const IN_MLX: Readonly<Record<string, string>> = { w1: 'gate_proj', w2: 'down_proj', w3: 'up_proj' };
export const lfm2MoeNames: DecoderNames = {
  ...lfm2Names,
  inFiles: module => {
    const other = module.name.replace(/(?<=\.feed_forward\.)w[123]$/, own => IN_MLX[own] ?? own);
    return other === module.name ? module : underOtherNames(module, [other]);
  },
};

export const lfm2TextNames = lfm2NamesWith(TEXT_PART);

/** LFM3's names, with norms after the mixer and the MLP too. @param prefix of all names but the head's, with its dot */
const lfm3NamesWith = (prefix: string): DecoderNames => ({
  ...lfm2NamesWith(prefix),
  block: layer => {
    const own = lfm2NamesWith(prefix).block(layer);
    const { at } = own;
    const { o, qNorm, kNorm } = withNorms({}, prefix).block(layer);
    return {
      ...own,
      o,
      qNorm,
      kNorm,
      gatesInMemory: `${at}.self_attn.g_proj`,
      norms: { ...own.norms, afterAttention: `${at}.post_operator_norm`, afterMlp: `${at}.post_ffn_norm` },
    };
  },
});
export const lfm3Names = lfm3NamesWith('model.');
export const lfm3TextNames = lfm3NamesWith(TEXT_PART);
