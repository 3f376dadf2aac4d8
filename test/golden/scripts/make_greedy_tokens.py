"""Greedy continuations of decoders by Transformers' generate, with its cache; some exceed the original length of their positions.
Deterministic (1 thread). run: OMP_NUM_THREADS=1 python make_greedy_tokens.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from transformers import AutoConfig

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
# Prompt tokens; those of phi3_long, llama_yarn and llama_dynamic end beyond their original lengths of 24, 16 and 16.
FOLDERS = dict(qwen3_window=8, qwen3_5=70, qwen3_5_moe=70, qwen3_next=70, lfm2_moe=8, glm4_moe=8, deepseek_v2=12, deepseek_v3=12, mistral4=12, ernie4_5_moe=8, afmoe=8, mellum=12, gemma=8, gemma2=8, gemma3=8, gemma3n=8, gemma4=8, gemma4_untied=8, smollm3_window=8, olmo2=8, olmo3=8, olmo_hybrid=70, granite=8, granite4_untied=8, granite4_mamba=20, granite4_experts=8, granitemoe=8, qwen2_moe=12, cohere2_moe=12, flint=12, cohere=8, cwm=12, kolibri1=12, nanochat=12, modernbert_decoder=12, modernbert_decoder_biased=12, nemotron_h=20, falcon_h1=20, lfm2=12, lfm3=12, granite_swa=12, granitemoe_swa=12, hyperclovax=12, hyperclovax_plain=12, nemotron=12, glm4=8, exaone4=8, seed_oss=8, gpt_neox=8, gpt_neox_sequential=8, gpt2=8, gpt2_bare=8, starcoder2=8, stablelm=8, phi=8, vaultgemma=8, jais2=8, helium=8, apertus=8, arcee=8, youtu=12, ernie4_5=8, hunyuan=8, cohere2=8, phi3=8, phi3_long=20, llama_yarn=12,
               llama_dynamic=12, ministral=8, ministral3=12)
STEPS = 16

found = {}
for name, length in FOLDERS.items():
    folder = os.path.join(OUT, name)
    model_class = getattr(transformers, AutoConfig.from_pretrained(folder).architectures[0])
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()
    model.generation_config.eos_token_id = None
    prompt = [(i * 37 + 11) % model.config.vocab_size for i in range(length)]
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, length), max_new_tokens=STEPS, do_sample=False, use_cache=True)
    found[name] = dict(prompt=length, tokens=out[0, length:].tolist())
    print(name, found[name])
meta = dict(torch=torch.__version__, transformers=transformers.__version__)
with open(os.path.join(OUT, 'greedy_tokens.json'), 'w') as file:
    lines = ',\n'.join(f'{json.dumps(name)}:{json.dumps(entry)}' for name, entry in found.items())
    file.write(f'{{"meta":{json.dumps(meta)},"folders":{{\n{lines}}}}}\n')
