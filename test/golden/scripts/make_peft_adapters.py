"""Adapters of PEFT on the tiny Llama (one of convolutions, on the tiny ResNet, and one on the tiny ViT) beside the plain LoRA and DoRA ones, each with the logits that PEFT computes with it.

Usage: make_peft_adapters.py GOLDEN_DIR  (reads GOLDEN_DIR/llama, writes GOLDEN_DIR/peft/<name>)
Made with torch 2.13.0, transformers 5.24.0, peft 0.21.2, float32, one thread.
"""
import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, VeraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForImageClassification

torch.set_num_threads(1)
golden = Path(sys.argv[1])
linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
configs = {
    "vera": VeraConfig(r=8, target_modules=linear, projection_prng_key=7, save_projection=True, task_type="CAUSAL_LM"),
    "vera_without_projection": VeraConfig(r=8, target_modules=["q_proj", "up_proj"], projection_prng_key=7, save_projection=False, task_type="CAUSAL_LM"),
    "lora_saved_modules": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["lm_head", "norm"], task_type="CAUSAL_LM"),
    "dora_of_attention": LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM"),
    "lora_head_and_embedding": LoraConfig(r=3, lora_alpha=6, target_modules=["lm_head", "embed_tokens", "v_proj"], task_type="CAUSAL_LM"),
}
ids = torch.tensor([[(i * 41 + 5) % 128 for i in range(24)]])


def make(name, base, model, config, inputs, about):
    torch.manual_seed(0)
    model = get_peft_model(model, config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        logits = model(**inputs).logits
    folder = golden / "peft" / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    (folder / "logits.json").write_text(json.dumps({**about, "logits": [round(x, 6) for x in logits.flatten().tolist()]}))
    config_file = folder / "adapter_config.json"
    written = json.loads(config_file.read_text())
    written["base_model_name_or_path"] = f"../../{base}"
    written["target_modules"] = sorted(written["target_modules"])
    config_file.write_text(json.dumps(written, indent=1, sort_keys=True))


for name, config in configs.items():
    model = AutoModelForCausalLM.from_pretrained(golden / "llama", dtype=torch.float32)
    make(name, "llama", model, config, {"input_ids": ids}, {"ids": ids[0].tolist()})

pixels = json.loads((golden / "resnet" / "golden.json").read_text())["inputs"]["pixel_values"]
model = AutoModelForImageClassification.from_pretrained(golden / "resnet", dtype=torch.float32)
config = LoraConfig(r=3, lora_alpha=6, target_modules=["convolution"], modules_to_save=["classifier.1"])
make("resnet_convolutions", "resnet", model, config, {"pixel_values": torch.tensor(pixels["data"]).reshape(pixels["shape"])}, {})

pixels = json.loads((golden / "vit" / "golden.json").read_text())["inputs"]["pixel_values"]
model = AutoModelForImageClassification.from_pretrained(golden / "vit", dtype=torch.float32)
config = LoraConfig(r=3, lora_alpha=6, use_dora=True, target_modules=["q_proj", "fc2"], rank_pattern={"fc2": 2}, modules_to_save=["classifier"])
make("vit_dora", "vit", model, config, {"pixel_values": torch.tensor(pixels["data"]).reshape(pixels["shape"])}, {})
