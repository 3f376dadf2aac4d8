"""Tokenizes with Transformers' AutoTokenizer where tokenizer.json and the files next to it disagree.

Run: python make_tokenizer_settings.py ../tokenizer_settings.json      (transformers 5.24.0, tokenizers 0.23.3)
"""

import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

base = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
base.pre_tokenizer, base.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
base.add_special_tokens(["<s>", "</s>"])
base.add_tokens([AddedToken("<x>", normalized=False), AddedToken("<l>", normalized=False, lstrip=True)])
base.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", base.token_to_id("<s>"))])
TEXT = "a<s> <x> <y></s> <l><z> b"


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, **flags}


CASES = [
    ({}, {}), ({"bos_token": "<s>", "eos_token": "</s>"}, {}), ({"bos_token": "<s>", "add_bos_token": False}, {}), ({"bos_token": "<s>", "eos_token": "</s>", "add_eos_token": True}, {}),
    ({"eos_token": "<x>"}, {}), ({"eos_token": "<y>"}, {}), ({"mask_token": "<l>"}, {}), ({"pad_token": {"__type": "AddedToken", **token("<y>", lstrip=True, special=True)}}, {}),
    ({"additional_special_tokens": ["<y>", "<x>"]}, {}), ({"extra_special_tokens": {"image_token": "<y>"}}, {}), ({"extra_special_tokens": ["<z>", "<y>"]}, {}), ({"image_token": "<y>"}, {}),
    ({"added_tokens_decoder": {"300": token("<y>", special=True)}}, {}), ({"added_tokens_decoder": {"258": token("<x>", special=True, lstrip=True)}}, {}), ({"added_tokens_decoder": {"259": token("<l>", special=False)}}, {}),
    ({"added_tokens_decoder": {"261": token("<y>", special=False, normalized=True), "260": token("<z>", special=True)}}, {}), ({}, {"added_tokens.json": {"<y>": 260}}), ({"eos_token": "<y>"}, {"added_tokens.json": {"<y>": 260, "<z>": 261}}),
    ({}, {"special_tokens_map.json": {"eos_token": "</s>", "additional_special_tokens": ["<y>"]}}), ({"eos_token": "<s>"}, {"special_tokens_map.json": {"eos_token": "</s>", "pad_token": "<y>"}}),
    ({"eos_token": "<s>", "added_tokens_decoder": {}}, {"special_tokens_map.json": {"eos_token": "</s>", "pad_token": "<y>"}, "added_tokens.json": {"<z>": 260}}), ({"eos_token": "<s>"}, {"special_tokens_map.json": {"eos_token": token("<y>", rstrip=True)}}),
    ({"pad_token": "<z>", "eos_token": "<y>", "extra_special_tokens": ["b"]}, {}),
]


def main():
    rows = []
    for config, files in CASES:
        with tempfile.TemporaryDirectory() as folder:
            everything = {"tokenizer.json": json.loads(base.to_str()), "config.json": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", **config}, **files}
            for name, content in everything.items():
                with open(os.path.join(folder, name), "w") as file:
                    json.dump(content, file)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = tokenizer(TEXT)["input_ids"]
            rows.append({"config": {"tokenizer_class": "PreTrainedTokenizerFast", **config}, "files": files, "ids": ids, "text": tokenizer.decode(ids), "skipped": tokenizer.decode(ids, skip_special_tokens=True), "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id, "special": tokenizer.special_tokens_map})
    json.dump({"tokenizer": json.loads(base.to_str()), "text": TEXT, "cases": rows}, open(sys.argv[1], "w"), ensure_ascii=False, indent=0)


main()
