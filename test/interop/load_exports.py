"""Logits of exported folders by Transformers and PEFT, in float32.

Usage: load_exports.py REQUEST.json — {"ids": [...], "bases": {name: DIR}, "merged": {name: DIR}, "peft": {name: DIR}}
Prints {name: logits [tokens][vocabulary]} for each; an unexpected or missing weight is an error.
"""
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText


def load(folder):
    # A model that also takes images is given only text. Transformers lists the text part Mistral 4 among such models.
    config = AutoConfig.from_pretrained(folder)
    sees = hasattr(config, "vision_config") or config.model_type == "mistral4"
    model, info = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    wrong = {key: sorted(map(str, names)) for key, names in info.items() if names}
    assert not wrong, f"{folder}: {wrong}"
    return model.eval()


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].tolist()


with open(sys.argv[1]) as file:
    request = json.load(file)
found = {name: logits(load(folder), request["ids"]) for name, folder in request["merged"].items()}
for name, folder in request["peft"].items():
    found[name] = logits(PeftModel.from_pretrained(load(request["bases"][name]), folder).eval(), request["ids"])
print(json.dumps(found))
