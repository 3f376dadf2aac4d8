"""gguf_converter.json: what llama.cpp's own converter writes for golden folders in float32: metadata of the architecture, and names, shapes and
SHA-256 of tensors. Tokenizers are left out, because these folders have none.
Made with the converter in llama_cpp_python 0.3.36 and transformers 5.24.0.   run: python make_gguf_converter.py LLAMA_CPP_FOLDER"""
import hashlib, json, os, re, shutil, sys, tempfile
os.environ['HF_HUB_OFFLINE'] = '1'
from pathlib import Path

source = Path(sys.argv[1])
sys.path[:0] = [str(source), str(source / 'gguf-py')]
import gguf, torch
from safetensors.torch import load_file, save_file
from conversion import get_model_class
from conversion.base import ModelBase, TextModel

# Transformers' config would add the keys of experts to a model without them.
ModelBase.load_hparams = staticmethod(lambda model, is_mistral_format: json.loads((Path(model) / 'config.json').read_text()))
here = Path(__file__).resolve().parent.parent
YARN = {'factor': 4.0, 'mscale': 0.7, 'mscale_all_dim': 0.7, 'original_max_position_embeddings': 16, 'rope_theta': 10000.0, 'rope_type': 'yarn',
        'beta_fast': 32.0, 'beta_slow': 1.0}
# The folders, with changes to config.json (None removes a key), and keys that the converter alone reads.
FOLDERS = {
    # Older files have a pattern of letters, and no keys of experts.
    'nemotron_h': ({'layers_block_type': None, 'hybrid_override_pattern': 'M-*', 'num_experts_per_tok': None, 'n_routed_experts': None, 'n_group': None,
                    'topk_group': None}, {'mamba_d_head': 8, 'num_hidden_layers': 3}),
    'nemotron_h_experts': ({'n_group': 1, 'topk_group': 1}, {'mamba_d_head': 8, 'num_hidden_layers': 3}),
    'cohere': ({}, {}),
    'falcon_h1': ({}, {}),
    'glm4v': ({}, {}),
    'gpt_neox': ({}, {'rotary_pct': 0.25}),
    'apertus': ({'rope_parameters': {'rope_type': 'default', 'rope_theta': 10000.0}}, {}),
    'gpt2': ({}, {'n_ctx': 64}),
    # llama.cpp has no biases in attention, and one weight of YaRN's logarithm.
    'deepseek_v3': ({'attention_bias': False, 'scoring_func': 'sigmoid', 'rope_parameters': YARN}, {}),
    # The converter reads which blocks rotate from a key that Transformers does not have.
    'granite_swa': ({'layer_rope_theta': [0, 10000.0, 10000.0]}, {'no_rope_layers': [0, 1, 1]}),
    'youtu': ({'attention_bias': False, 'rope_parameters': YARN}, {}),
}


def value_of(field):
    content = field.contents()
    return content.tolist() if hasattr(content, 'tolist') else content


def converted(folder, changes):
    with tempfile.TemporaryDirectory() as work:
        model = Path(work) / 'model'
        shutil.copytree(here / folder, model)
        config = json.loads((model / 'config.json').read_text())
        config = {key: value for key, value in {**config, **changes}.items() if value is not None}
        (model / 'config.json').write_text(json.dumps(config))
        weights = load_file(model / 'model.safetensors')
        biased = config.get('attention_bias', True)
        save_file({name: tensor for name, tensor in weights.items() if biased or not re.search(r'self_attn\..*\.bias$', name)}, model / 'model.safetensors')
        with torch.inference_mode():
            own = get_model_class(ModelBase.load_hparams(model, False)['architectures'][0])
            own.set_vocab = lambda self: None
            out = Path(work) / 'model.gguf'
            own(model, gguf.LlamaFileType.ALL_F32, out).write()
        reader = gguf.GGUFReader(out)
        architecture = value_of(reader.fields['general.architecture'])
        return {
            'architecture': architecture,
            'metadata': {key: value_of(field) for key, field in reader.fields.items() if key.startswith(architecture + '.')},
            'tensors': {
                each.name: [[int(n) for n in reversed(each.shape)], hashlib.sha256(each.data.tobytes()).hexdigest()]
                for each in sorted(reader.tensors, key=lambda tensor: tensor.name)
            },
        }


written = {folder: {'changes': changes, **converted(folder, {**changes, **own})} for folder, (changes, own) in FOLDERS.items()}
lines = ',\n'.join(f'{json.dumps(folder)}: {json.dumps(content)}' for folder, content in written.items())
(here / 'gguf_converter.json').write_text('{\n' + lines + '\n}\n')
