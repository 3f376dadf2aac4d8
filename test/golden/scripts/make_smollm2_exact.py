"""SmolLM2-135M-Instruct in float64 on the paragraph of smollm2_logits.json: one in 997 of all logits of all positions, and the mean negative
log likelihood. The reference for float32 computations: PyTorch's own float32 logits differ from these by up to 6.6e-5.
run: python make_smollm2_exact.py FOLDER [out], a folder of save_smollm2.py"""
import json, os, sys
import torch
from transformers import AutoModelForCausalLM

GOLDEN = os.path.join(os.path.dirname(__file__), '..')
OUT = sys.argv[2] if len(sys.argv) > 2 else GOLDEN
EVERY = 997
ids = json.load(open(os.path.join(GOLDEN, 'smollm2_logits.json')))['cases'][0]['input_ids']
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float64).eval()
with torch.no_grad():
    logits = model(torch.tensor([ids])).logits[0]
nll = -torch.log_softmax(logits[:-1], -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean().item()
sampled = [float(f'{x:.9g}') for x in logits.flatten()[::EVERY].tolist()]
json.dump(dict(torch=torch.__version__, every=EVERY, largest=logits.abs().max().item(), nll=nll, logits=sampled),
          open(os.path.join(OUT, 'smollm2_exact_logits.json'), 'w'), separators=(',', ':'))
