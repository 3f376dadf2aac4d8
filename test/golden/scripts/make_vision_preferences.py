"""Losses and gradients of preferences whose prompts have images: DPO as TRL computes it (sigmoid) and KTO with a reference point, by their
formulas, from the log-probabilities of the golden folder qwen3_vl; gradients are those of the text part, as their norm and their dot
product with a wave. Answers are token ids after the first two texts of vision.json. needs Pillow.
run: OMP_NUM_THREADS=1 python make_vision_preferences.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from file_names import file_names
from pictures import picture
from transformers import Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
FOLDER = os.path.join(OUT, 'qwen3_vl')
IMAGE, BETA = 60, 0.5
# Added to the model's own log-probabilities, for a reference other than the model itself.
OFFSETS = [[0.7, -0.4], [-1.1, 0.9]]
ANSWERS = [dict(chosen=[12, 40, 3, 2], rejected=[21, 2]), dict(chosen=[33, 2], rejected=[9, 14, 27, 45, 2])]

rounded = lambda x: float(f'{x:.9g}')
wave = lambda p: torch.sin(0.7 * torch.arange(p.numel(), dtype=torch.float64)).reshape(p.shape)

model = Qwen3VLForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation='eager').eval()
golden = json.load(open(os.path.join(FOLDER, 'vision.json')))
settings = json.load(open(os.path.join(FOLDER, 'preprocessor_config.json')))
processor = Qwen2VLImageProcessorPil(**{key: value for key, value in settings.items() if key != 'image_processor_type'})
pictures = [processor(images=[picture(image['width'], image['height'])], return_tensors='pt') for image in golden['images']]


def logp(prompt, answer):
    """Returns the summed log-probability of an answer after a text with images."""
    model.model.rope_deltas = None
    ids = torch.tensor([prompt['ids'] + answer])
    together = lambda key: torch.cat([pictures[at][key] for at in prompt['images']], dim=0)
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=(ids == IMAGE).int(),
                   pixel_values=together('pixel_values'), image_grid_thw=together('image_grid_thw')).logits
    begin = len(prompt['ids'])
    return logits[0, begin - 1:-1].log_softmax(-1).gather(-1, ids[0, begin:, None]).sum()


def result(loss, **more):
    model.zero_grad()
    loss.backward()
    names = file_names(model, FOLDER)
    gradients = {names[n]: [rounded(p.grad.double().norm().item()), rounded((p.grad.double() * wave(p)).sum().item())]
                 for n, p in model.named_parameters() if p.grad is not None and '.visual.' not in n}
    return dict(loss=rounded(loss.item()), gradients=gradients, **more)


def dpo():
    logps = [[logp(prompt, answers[side]) for side in ('chosen', 'rejected')] for prompt, answers in zip(golden['texts'], ANSWERS)]
    reference = [[own.item() + offset for own, offset in zip(pair, offsets)] for pair, offsets in zip(logps, OFFSETS)]
    margins = [(own[0] - ref[0]) - (own[1] - ref[1]) for own, ref in zip(logps, reference)]
    loss = torch.stack([-torch.nn.functional.logsigmoid(BETA * margin) for margin in margins]).mean()
    return result(loss, own=[[rounded(one.item()) for one in pair] for pair in logps], reference=[[rounded(one) for one in pair] for pair in reference])


def kto():
    """The first answer is good, the second bad; each prompt is also followed by the other's answer, which gives the reference point."""
    given = [ANSWERS[0]['chosen'], ANSWERS[1]['rejected']]
    prompts = golden['texts'][:2]
    own = [logp(prompt, answer) for prompt, answer in zip(prompts, given)]
    with torch.no_grad():
        mismatched = [logp(prompt, answer) for prompt, answer in zip(prompts, reversed(given))]
    references = [[one.item() + offset for one, offset in zip(logps, offsets)] for logps, offsets in ((own, OFFSETS[0]), (mismatched, [-0.6, -0.9]))]
    point = torch.stack([one - ref for one, ref in zip(mismatched, references[1])]).mean().clamp(min=0)
    good, bad = [one - ref for one, ref in zip(own, references[0])]
    loss = torch.stack([1 - torch.sigmoid(BETA * (good - point)), 1 - torch.sigmoid(BETA * (point - bad))]).mean()
    answers, others = ([rounded(one) for one in reference] for reference in references)
    return result(loss, reference=[list(row) for row in zip(answers, others)])


table = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__), beta=BETA, answers=ANSWERS, dpo=dpo(), kto=kto())
with open(os.path.join(FOLDER, 'preferences.json'), 'w') as file:
    json.dump(table, file, separators=(',', ':'))
    file.write('\n')
print({name: table[name]['loss'] for name in ('dpo', 'kto')}, table['dpo']['own'])
