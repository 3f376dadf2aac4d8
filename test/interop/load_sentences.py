"""Embeddings of exported folders by sentence-transformers, for the input of `smokeLogits` (trainer/artifact/smoke-test.ts).

Usage: load_sentences.py REQUEST.json — a list of {name, folder, ids: [...]}. Prints {name: vector}.
"""
import json
import sys

import torch
from sentence_transformers import SentenceTransformer


def vector(request):
    model = SentenceTransformer(request["folder"], device="cpu").eval()
    ids = torch.tensor([request["ids"]])
    with torch.no_grad():
        return model(dict(input_ids=ids, attention_mask=torch.ones_like(ids)))["sentence_embedding"][0].tolist()


with open(sys.argv[1]) as file:
    print(json.dumps({request["name"]: vector(request) for request in json.load(file)}))
