"""Small GGUF fixtures and their reference results.

quants.json        one row of each block type: the stored bytes (hex) and gguf's `quants.dequantize` of them as float32 bits (hex)
tiny-llama.gguf    the folder ../llama as llama.cpp's converter would store it (q and k rows interleaved), F32/F16/BF16/Q8_0/Q5_0/Q4_1 mixed,
                   with a small byte-level tokenizer (digits split as `smollm` does), and a chat template
tiny-llama.json    float32 values (first 8, sum) of each tensor under its Hugging Face name, and token ids of edge-case texts by `tokenizers`
tiny-spm.gguf      a SentencePiece vocabulary with scores and no merges (no weights); ids by Transformers' LlamaTokenizer in tiny-spm.json

Made with gguf 0.19.0, tokenizers 0.23.3 and transformers 5.24.0.   run: python make_gguf.py
"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import numpy as np, gguf
from gguf import GGMLQuantizationType as T, quants
from safetensors.numpy import load_file

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)

# --- one row of each type ------------------------------------------------------------------------------------------------
out = {}
for name, blocks in [('F32', 64), ('F16', 64), ('BF16', 64), ('Q4_0', 2), ('Q4_1', 2), ('Q5_0', 2), ('Q5_1', 2), ('Q8_0', 2), ('Q4_K', 2), ('Q5_K', 2), ('Q6_K', 2),
                     ('Q2_K', 2), ('Q3_K', 2), ('IQ4_NL', 2), ('IQ4_XS', 2), ('MXFP4', 8), ('TQ1_0', 2), ('TQ2_0', 2)]:
    t = T[name]
    elements, size = gguf.GGML_QUANT_SIZES[t]
    raw = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
    halves = {'Q4_0': [0], 'Q4_1': [0, 2], 'Q5_0': [0], 'Q5_1': [0, 2], 'Q8_0': [0], 'Q4_K': [0, 2], 'Q5_K': [0, 2], 'Q6_K': [208],
              'Q2_K': [80, 82], 'Q3_K': [108], 'IQ4_NL': [0], 'IQ4_XS': [0], 'TQ1_0': [52], 'TQ2_0': [64]}.get(name, [])
    for at in halves:  # every bit pattern is valid in a block, except that scales must be finite
        raw[:, at:at + 2] = (rng.standard_normal((blocks, 1)) * 0.01).astype(np.float16).view(np.uint8)
    if name in ('F32', 'F16', 'BF16'):
        x = rng.standard_normal(blocks * elements).astype(np.float32)
        raw = quants.quantize(x, t).view(np.uint8)
    values = quants.dequantize(raw.reshape(1, -1) if name != 'F32' else raw.view(np.float32), t).astype(np.float32)
    out[name] = dict(bytes=raw.tobytes().hex(), values=values.tobytes().hex())
json.dump(out, open(f'{here}/quants.json', 'w'), indent=0)

# --- a whole model --------------------------------------------------------------------------------------------------------
weights = load_file(f'{here}/../llama/model.safetensors')
config = json.load(open(f'{here}/../llama/config.json'))
heads, kv_heads = config['num_attention_heads'], config['num_key_value_heads']
NAMES = {'input_layernorm': 'attn_norm', 'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output',
         'post_attention_layernorm': 'ffn_norm', 'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down'}
TYPES = {'attn_q': T.Q8_0, 'attn_k': T.F16, 'attn_v': T.Q5_0, 'attn_output': T.BF16, 'ffn_gate': T.Q4_1, 'ffn_up': T.Q4_0, 'ffn_down': T.Q5_1, 'token_embd': T.Q8_0}
def gguf_name(name):
    if name == 'model.embed_tokens.weight': return 'token_embd.weight'
    if name == 'model.norm.weight': return 'output_norm.weight'
    if name == 'lm_head.weight': return 'output.weight'
    _, _, layer, rest = name.split('.', 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"
def permute(w, n):  # convert_hf_to_gguf.py, LlamaModel.permute
    return w.reshape(n, 2, w.shape[0] // n // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)
def unpermute(w, n):
    return w.reshape(n, w.shape[0] // n // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)

from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers, AddedToken
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tok.decoder = decoders.ByteLevel()
special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
corpus = ["The river carries water to the sea and shapes the land in 1927 and 2024.", "naïve café — “quotes” in the land of the rivers", "I'm here, we'll see; THEY'RE there."] * 20
tok.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
spec = json.loads(tok.to_str())
vocab = sorted(spec['model']['vocab'], key=spec['model']['vocab'].get)
merges = [' '.join(m) if isinstance(m, list) else m for m in spec['model']['merges']]
template = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

def writer(path, arch):
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(config['num_hidden_layers']); w.add_context_length(config['max_position_embeddings']); w.add_embedding_length(config['hidden_size'])
    w.add_feed_forward_length(config['intermediate_size']); w.add_head_count(heads); w.add_head_count_kv(kv_heads)
    w.add_rope_freq_base(10000.0); w.add_layer_norm_rms_eps(1e-5); w.add_rope_dimension_count(config['hidden_size'] // heads)
    return w
w = writer(f'{here}/tiny-llama.gguf', 'llama')
w.add_vocab_size(config['vocab_size'])
w.add_tokenizer_model('gpt2'); w.add_tokenizer_pre('smollm'); w.add_token_list(vocab); w.add_token_types([3 if t in special else 1 for t in vocab]); w.add_token_merges(merges)
w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_pad_token_id(2); w.add_unk_token_id(0); w.add_add_bos_token(False); w.add_chat_template(template)
expected = {}
for name, x in weights.items():
    x = x.astype(np.float32); stem = gguf_name(name).split('.')[-2]
    n = {'attn_q': heads, 'attn_k': kv_heads}.get(stem)
    stored = permute(x, n) if n else x
    t = TYPES.get(stem, T.F32)
    q = stored if t == T.F32 else quants.quantize(np.ascontiguousarray(stored), t)
    if t == T.F16: q = stored.astype(np.float16)
    w.add_tensor(gguf_name(name), q, raw_dtype=None if t in (T.F32, T.F16) else t)
    back = q.astype(np.float32) if t in (T.F32, T.F16) else quants.dequantize(q, t)
    back = (unpermute(back, n) if n else back).astype(np.float32)
    expected[name] = dict(shape=list(x.shape), first8=[float(v) for v in back.flatten()[:8]], sum=float(back.astype(np.float64).sum()), abs=float(np.abs(back.astype(np.float64)).sum()), max_error=float(np.abs(back - x).max()))
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
texts = ["The river, in 1927", "naïve café — “quotes” 😀", "  two  spaces\n\n\ttab  7", "I'm we'll THEY'RE", "<|im_start|>user\nland<|im_end|>\n", "日本語"]
json.dump(dict(tensors=expected, tokenization=[dict(text=t, ids=tok.encode(t, add_special_tokens=False).ids) for t in texts]), open(f'{here}/tiny-llama.json', 'w'), ensure_ascii=False, indent=0)

# --- a SentencePiece vocabulary ---------------------------------------------------------------------------------------------
pieces = ['<unk>', '<s>', '</s>'] + [f'<0x{b:02X}>' for b in range(256)]
types, scores = [2, 3, 3] + [6] * 256, [0.0] * 259
learned = ['▁t', 'he', '▁the', 'in', 'er', '▁r', 'iv', 'iver', '▁river', '▁a', 'an', '▁an', '▁and', '▁l', 'and', '▁land', 'ing', '▁▁', 'és', '▁caf']
letters = sorted(set('▁abcdefghijklmnopqrstuvwxyzTé.,0123456789'))
for i, piece in enumerate(learned + letters): pieces.append(piece); types.append(1); scores.append(-float(i))
w = writer(f'{here}/tiny-spm.gguf', 'llama')
w.add_tokenizer_model('llama'); w.add_tokenizer_pre('default'); w.add_token_list(pieces); w.add_token_scores(scores); w.add_token_types(types)
w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_unk_token_id(0); w.add_add_bos_token(True)
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
from transformers import AutoTokenizer
spm = AutoTokenizer.from_pretrained(here, gguf_file='tiny-spm.gguf')
texts = ["the river and the land", "The cafés, in  2 lands", "  two leading", "日 and 😀", "then landing", "river<s>and"]
json.dump([dict(text=t, ids=spm(t).input_ids, decoded=spm.decode(spm(t).input_ids, skip_special_tokens=True)) for t in texts], open(f'{here}/tiny-spm.json', 'w'), ensure_ascii=False, indent=0)
