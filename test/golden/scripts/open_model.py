"""A model of a golden folder, by Transformers or (where config.json names no class of Transformers) by timm."""
import json, os
import transformers
from safetensors.torch import load_file


def open_model(folder):
    """The model in evaluation mode, and the size of its vocabulary if it reads text."""
    with open(os.path.join(folder, 'config.json')) as file:
        config = json.load(file)
    if 'architectures' in config:
        model = getattr(transformers, config['architectures'][0]).from_pretrained(folder)
        return model.eval(), config.get('vocab_size')
    import timm
    model = timm.create_model(config['architecture'], **{'num_classes': config['num_classes'], **config.get('model_args', {})})
    model.load_state_dict(load_file(os.path.join(folder, 'model.safetensors')))
    return model.eval(), None
