"""PEFT adapters for the tiny Llama, GPT-NeoX, GPT-2, ViT, ResNet, ResNeXt and mixtures of experts, in addition to the plain LoRA and DoRA ones, each with PEFT's logits;
for the convolutions, also the loss and the gradients of what is trained, with the labels in the model's golden.json.

Usage: make_peft_adapters.py GOLDEN_DIR  (reads GOLDEN_DIR/llama, writes GOLDEN_DIR/peft/<name>; also needs timm)
Made with torch 2.13.0, transformers 5.24.0, peft 0.21.2, timm 1.0.31, float32, one thread.
"""
import itertools
import json
import sys
from pathlib import Path

import timm
import torch
from peft import LoraConfig, PeftModel, ShiraConfig, VeraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForImageClassification

torch.set_num_threads(1)
golden = Path(sys.argv[1])
linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
configs = {
    "vera": VeraConfig(r=8, target_modules=linear, projection_prng_key=7, save_projection=True, task_type="CAUSAL_LM"),
    "vera_without_projection": VeraConfig(r=8, target_modules=["q_proj", "up_proj"], projection_prng_key=7, save_projection=False, task_type="CAUSAL_LM"),
    "shira": ShiraConfig(r=2, target_modules=linear, random_seed=7, task_type="CAUSAL_LM"),
    "lora_saved_modules": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["lm_head", "norm"], task_type="CAUSAL_LM"),
    "dora_of_attention": LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM"),
    "lora_head_and_embedding": LoraConfig(r=3, lora_alpha=6, target_modules=["lm_head", "embed_tokens", "v_proj"], task_type="CAUSAL_LM"),
}
ids = torch.tensor([[(i * 41 + 5) % 128 for i in range(24)]])


def numbers(x, digits=6):
    return [round(value, digits) for value in x.flatten().tolist()]


def randomize(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


def block_diagonal(model):
    """Restricts the filters of a grouped convolution to their own group, which is all that a weight contains."""
    for module in model.modules():
        groups = getattr(getattr(module, "base_layer", None), "groups", 1)
        if groups == 1:
            continue
        weight = module.lora_A["default"].weight.data
        rank, channels = weight.shape[:2]
        seen = torch.kron(torch.eye(groups), torch.ones(rank // groups, channels // groups))
        weight.mul_(seen[:, :, None, None])


def gradients(model, logits, labels):
    torch.nn.functional.cross_entropy(logits, labels).backward()
    short = lambda name: name.removeprefix("base_model.model.").replace(".default", "").replace(".modules_to_save", "").replace("magnitude_vector.weight", "magnitude_vector")
    return {short(name): {"l2": float(f"{p.grad.norm().item():.7g}"), "first4": numbers(p.grad.flatten()[:4], 8)}
            for name, p in model.named_parameters() if p.grad is not None}


def make(name, base, model, config, inputs, about, labels=None, change=lambda model: None):
    torch.manual_seed(0)
    model = get_peft_model(model, config).eval()
    randomize(model)
    change(model)
    output = model(*inputs.values()) if "timm" in base else model(**inputs).logits
    if labels is not None:
        about = {**about, "grads": gradients(model, output, labels)}
    folder = golden / "peft" / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    (folder / "logits.json").write_text(json.dumps({**about, "logits": numbers(output)}))
    config_file = folder / "adapter_config.json"
    written = json.loads(config_file.read_text())
    written["base_model_name_or_path"] = f"../../{base}"
    written["target_modules"] = sorted(written["target_modules"])
    if written.get("target_parameters"):
        written["target_parameters"] = sorted(written["target_parameters"])
    config_file.write_text(json.dumps(written, indent=1, sort_keys=True))


for name, config in configs.items():
    model = AutoModelForCausalLM.from_pretrained(golden / "llama", dtype=torch.float32)
    make(name, "llama", model, config, {"input_ids": ids}, {"ids": ids[0].tolist()})


def batch(base):
    found = json.loads((golden / base / "golden.json").read_text())
    pixels = found["inputs"]["pixel_values"]
    return {"pixel_values": torch.tensor(pixels["data"]).reshape(pixels["shape"])}, torch.tensor(found["labels"]["data"])


def image_model(base):
    return AutoModelForImageClassification.from_pretrained(golden / base, dtype=torch.float32)


pixels, labels = batch("resnet")
config = LoraConfig(r=3, lora_alpha=6, target_modules=["convolution"], modules_to_save=["classifier.1"])
make("resnet_convolutions", "resnet", image_model("resnet"), config, pixels, {}, labels)
config = LoraConfig(r=3, lora_alpha=6, use_dora=True, target_modules=["convolution"], modules_to_save=["classifier.1"])
make("resnet_dora", "resnet", image_model("resnet"), config, pixels, {}, labels)

config = LoraConfig(r=3, lora_alpha=6, use_dora=True, target_modules=["q_proj", "fc2"], rank_pattern={"fc2": 2}, modules_to_save=["classifier"])
make("vit_dora", "vit", image_model("vit"), config, batch("vit")[0], {})

pixels, _ = batch("timm_resnext")
config = LoraConfig(r=4, lora_alpha=6, target_modules=["conv1", "conv2"], rank_pattern={"layer2.0.conv2": 8}, modules_to_save=["fc"])
model = timm.create_model("resnext50_32x4d", num_classes=5, layers=(1, 2, 1, 1), channels=(8, 8, 16, 16), cardinality=4, base_width=16)
timm.models.load_checkpoint(model, golden / "timm_resnext" / "model.safetensors")
make("resnext_groups", "timm_resnext", model, config, pixels, {}, change=block_diagonal)

# Experts, as parameters: gate and up together, both parameters, one of them, and the router.
experts = {
    "qwen3_moe_experts": ("qwen3_moe", ["q_proj"], ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"], {}),
    "mixtral_experts": ("mixtral", ["q_proj", "o_proj"], ["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "gate.weight"], {"gate_up_proj": 4}),
    "gpt_oss_experts": ("gpt_oss", [], ["experts.down_proj", "experts.gate_up_proj"], {}),
    "mixtral_down": ("mixtral", [], ["down_proj"], {}),
}
for name, (base, modules, parameters, ranks) in experts.items():
    model = AutoModelForCausalLM.from_pretrained(golden / base, dtype=torch.float32)
    config = LoraConfig(r=2, lora_alpha=6, target_modules=modules, target_parameters=parameters, rank_pattern=ranks, task_type="CAUSAL_LM")
    seen = torch.tensor([[(i * 41 + 5) % 64 for i in range(24)]])
    make(name, base, model, config, {"input_ids": seen}, {"ids": seen[0].tolist()})

# A head that has another name in memory, lm_head, than in the files, embed_out: with factors, and saved whole.
for name, config in {
    "gpt_neox_head": LoraConfig(r=3, lora_alpha=6, target_modules=["lm_head", "query_key_value"], rank_pattern={"lm_head": 2}, task_type="CAUSAL_LM"),
    "gpt_neox_saved_head": LoraConfig(r=2, lora_alpha=6, target_modules=["dense_4h_to_h"], modules_to_save=["lm_head"], task_type="CAUSAL_LM"),
}.items():
    model = AutoModelForCausalLM.from_pretrained(golden / "gpt_neox", dtype=torch.float32)
    make(name, "gpt_neox", model, config, {"input_ids": seen}, {"ids": seen[0].tolist()})

# Layers whose weights are [in, out]: with factors, one kind of them saved whole, and with factors and lengths.
for name, config in {
    "gpt2_saved_matrix": LoraConfig(r=3, lora_alpha=6, target_modules=["c_attn", "attn.c_proj"], modules_to_save=["c_fc"], fan_in_fan_out=True, task_type="CAUSAL_LM"),
    "gpt2_dora": LoraConfig(r=2, lora_alpha=6, target_modules=["attn.c_proj", "c_fc"], use_dora=True, fan_in_fan_out=True, task_type="CAUSAL_LM"),
}.items():
    model = AutoModelForCausalLM.from_pretrained(golden / "gpt2", dtype=torch.float32)
    make(name, "gpt2", model, config, {"input_ids": seen}, {"ids": seen[0].tolist()})

# As PEFT saved it with Transformers 4, where each expert was a layer; PEFT itself reads and converts it.
folder = golden / "peft" / "mixtral_apart"
folder.mkdir(exist_ok=True)
torch.manual_seed(1)
random = lambda *shape: 0.1 * torch.randn(*shape)
state = {}
for layer, expert, (part, width, out) in itertools.product(range(2), range(4), [("w1", 32, 24), ("w2", 24, 32), ("w3", 32, 24)]):
    at = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{part}"
    state |= {f"{at}.lora_A.weight": random(2, width), f"{at}.lora_B.weight": random(out, 2)}
save_file(state, folder / "adapter_model.safetensors")
LoraConfig(r=2, lora_alpha=6, target_modules=["w1", "w2", "w3"], task_type="CAUSAL_LM", base_model_name_or_path="../../mixtral").save_pretrained(folder)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(golden / "mixtral", dtype=torch.float32), folder).eval()
(folder / "logits.json").write_text(json.dumps({"ids": seen[0].tolist(), "logits": numbers(model(input_ids=seen).logits)}))
