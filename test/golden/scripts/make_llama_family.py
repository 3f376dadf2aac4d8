"""Golden folders for more of the Llama family: rope scalings, biases, tied embeddings, sliding windows; and the angular frequencies
of Transformers' rope scalings. Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_llama_family.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note='float32, eval mode; every parameter jittered by 0.05*randn so biases and norms matter')

numbers = lambda x: [float(f'{v:.7g}') for v in x.detach().flatten().double().tolist()]
tensor = lambda x: dict(shape=list(x.shape), data=numbers(x) if x.is_floating_point() else x.flatten().tolist())


def make(name, model_class, config, seed, tokens):
    """Saves a jittered random model with what it gives for a padded batch of two."""
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    ids = torch.randint(3, config.vocab_size, (2, tokens), generator=torch.Generator().manual_seed(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, tokens - 3:] = 0
    labels = ids.clone()
    labels[1, tokens - 3:] = -100
    labels[0, 1:4] = -100
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    out = model(input_ids=ids, attention_mask=seen, labels=labels)
    out.loss.backward()
    grads = {n: dict(shape=list(p.shape), l2=float(f'{p.grad.double().norm().item():.8g}'), first4=numbers(p.grad.flatten()[:4]))
             for n, p in model.named_parameters()}
    golden = dict(meta=META, model=model_class.__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels),
                  loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads)
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()))


small = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
# A head of 16 features with these numbers has frequencies in all three regions of the rule: kept, blended, stretched.
LLAMA3 = dict(rope_type='llama3', rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
make('llama3_tied', LlamaForCausalLM, LlamaConfig(**{**small, 'head_dim': 16, 'max_position_embeddings': 256, 'tie_word_embeddings': True},
                                                  rope_parameters=LLAMA3), 101, 48)
make('llama_biased', LlamaForCausalLM, LlamaConfig(**small, attention_bias=True, mlp_bias=True), 111, 12)
make('llama_linear_rope', LlamaForCausalLM, LlamaConfig(**small, rope_parameters=dict(rope_type='linear', rope_theta=10000.0, factor=4.0)), 121, 20)
make('qwen2', Qwen2ForCausalLM, Qwen2Config(**{**small, 'tie_word_embeddings': True}), 131, 12)
make('qwen2_window', Qwen2ForCausalLM, Qwen2Config(**small, use_sliding_window=True, sliding_window=5, max_window_layers=1), 141, 16)
make('mistral_window', MistralForCausalLM, MistralConfig(**small, sliding_window=5), 151, 16)

# Norms of each head's queries and keys, whose size is not the hidden size over the heads.
make('qwen3', Qwen3ForCausalLM, Qwen3Config(**{**small, 'head_dim': 12, 'tie_word_embeddings': True}), 161, 12)
make('qwen3_window', Qwen3ForCausalLM, Qwen3Config(**{**small, 'head_dim': 16, 'num_key_value_heads': 1}, attention_bias=True, use_sliding_window=True,
     sliding_window=5, max_window_layers=1), 171, 16)


def frequencies(rope_type, head_dim, **rope):
    """Angular frequencies (Transformers calls them inv_freq), in radians a position."""
    config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, max_position_embeddings=131072,
                         rope_parameters=dict(rope_type=rope_type, rope_theta=500000.0, **rope))
    return numbers(ROPE_INIT_FUNCTIONS[rope_type](config, 'cpu')[0])


LLAMA31 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
table = dict(meta=META, theta=500000.0, head_dim=128,
             linear=dict(factor=4.0, frequencies=frequencies('linear', 128, factor=4.0)),
             llama3=dict(**LLAMA31, frequencies=frequencies('llama3', 128, **LLAMA31)))
with open(os.path.join(OUT, 'rope_frequencies.json'), 'w') as file:
    json.dump(table, file, separators=(',', ':'))
