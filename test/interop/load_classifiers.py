"""Logits of exported classifiers by Transformers and PEFT, in float32, for the input of `smokeLogits` (trainer/artifact/smoke-test.ts).

Usage: load_classifiers.py REQUEST.json — a list of {name, folder, format: merged | peft, base, labels, tokens, vectors, ids: [...]} or, for images,
{…, side}. Prints {name: logits [labels]}, or [tokens · labels] for models that label tokens, or the mean of the states [features] for vectors; an
unexpected or missing weight is an error.
"""
import inspect
import json
import sys
import warnings

import torch
from peft import PeftModel
from transformers import AutoModel, AutoModelForImageClassification, AutoModelForSequenceClassification, AutoModelForTokenClassification

GOLDEN_RATIO = 0.618034
# PEFT only warns about adapter weights that match nothing.
warnings.filterwarnings("error", message=".*(unexpected|missing).*keys")


def load(kind, folder, **settings):
    model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **settings)
    wrong = {key: sorted(map(str, names)) for key, names in info.items() if names}
    return model.eval(), wrong


def logits(request):
    of_text = AutoModelForTokenClassification if request["tokens"] else AutoModelForSequenceClassification
    kind = AutoModelForImageClassification if "side" in request else AutoModel if request["vectors"] else of_text
    if request["format"] == "merged":
        model, wrong = load(kind, request["folder"])
        assert not wrong, wrong
    else:
        # A head for other labels is new in the base, and comes with the adapter.
        head = {} if request["vectors"] else dict(num_labels=request["labels"], ignore_mismatched_sizes=True)
        model, _ = load(kind, request["base"], **head)
        model = PeftModel.from_pretrained(model, request["folder"]).eval()
    if "side" in request:
        side = request["side"]
        count = side * side * 3
        pixels = torch.tensor([4 * ((i * GOLDEN_RATIO) % 1) - 2 for i in range(count)]).reshape(1, side, side, 3)
        inputs = dict(pixel_values=pixels.permute(0, 3, 1, 2))
        # Models with a table of positions resample it for images of another size only on request.
        own = model.get_base_model() if isinstance(model, PeftModel) else model
        if "interpolate_pos_encoding" in inspect.signature(own.forward).parameters:
            inputs["interpolate_pos_encoding"] = True
    else:
        ids = torch.tensor([request["ids"]])
        inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
    with torch.no_grad():
        if request["vectors"]:
            return model(**inputs).last_hidden_state[0].mean(0).tolist()
        return model(**inputs).logits[0].flatten().tolist()


with open(sys.argv[1]) as file:
    requests = json.load(file)
print(json.dumps({request["name"]: logits(request) for request in requests}))
