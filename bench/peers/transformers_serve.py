"""Writes several answers at the same time with Transformers' `generate`, in a process that stays loaded.

    python transformers_serve.py --model DIR --dtype float32 --prompt-tokens 256 --answer-tokens 64 --threads 2

For each line of stdin, {"parallel": N, "round": N}, prints one JSON line: the times of reading all prompts and of writing all further
tokens. The prompts are those of bench/serve/serve-step.ts, all equally long, so nothing is padded. Greedy, with Transformers' own cache.
"""
import argparse
import json
import os
import sys
import time

os.environ['HF_HUB_OFFLINE'] = '1'


def main():
    parser = argparse.ArgumentParser()
    for name, kind in [('model', str), ('dtype', str), ('prompt-tokens', int), ('answer-tokens', int), ('threads', int)]:
        parser.add_argument(f'--{name}', type=kind, required=True)
    args = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(args.threads)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype)).eval()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0

    def spent(parallel, round_, tokens):
        begin, before = time.perf_counter(), time.process_time()
        prompts = [[100 + (i * 37 + 1009 * (round_ * parallel + text)) % 20_000 for i in range(args.prompt_tokens)] for text in range(parallel)]
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            found = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True, max_new_tokens=tokens, min_new_tokens=tokens)
        assert found.shape == (parallel, args.prompt_tokens + tokens)
        return time.perf_counter() - begin, time.process_time() - before

    print('{}', flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        parallel, round_ = asked['parallel'], asked['round']
        read, read_processor = spent(parallel, 2 * round_, 1)
        whole, processor = spent(parallel, 2 * round_ + 1, args.answer_tokens + 1)
        with open('/proc/self/statm') as statm:
            resident = int(statm.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
        found = {'readSeconds': read, 'writeSeconds': whole - read, 'writeProcessorSeconds': processor - read_processor}
        print(json.dumps({**found, 'residentBytes': resident}), flush=True)


main()
