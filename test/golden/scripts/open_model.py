"""Opens the model of a golden folder with Transformers, or with timm if config.json names no class of Transformers."""
import json, os
import torch, transformers
from safetensors.torch import load_file, save_file


class DINOv3ViTForImageClassification(torch.nn.Module):
    """DINOv3 has no head in Transformers; this is DINOv2's: a layer on the class token's state next to the mean of the patches' states."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.backbone = transformers.DINOv3ViTModel(config)
        self.classifier = torch.nn.Linear(2 * config.hidden_size, config.num_labels)

    def forward(self, pixel_values, labels=None, return_dict=True):
        states = self.backbone(pixel_values).last_hidden_state
        patches = states[:, 1 + self.config.num_register_tokens:]
        logits = self.classifier(torch.cat([states[:, 0], patches.mean(1)], 1))
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return transformers.modeling_outputs.ImageClassifierOutput(loss=loss, logits=logits)

    def save_pretrained(self, folder):
        self.backbone.save_pretrained(folder)
        weights, config = os.path.join(folder, 'model.safetensors'), os.path.join(folder, 'config.json')
        save_file({**load_file(weights), **{f'classifier.{k}': v for k, v in self.classifier.state_dict().items()}}, weights, dict(format='pt'))
        changed = {**json.load(open(config)), 'architectures': [type(self).__name__]}
        json.dump(changed, open(config, 'w'), indent=2)

    @classmethod
    def from_pretrained(cls, folder, **settings):
        model = cls(transformers.DINOv3ViTConfig.from_pretrained(folder))
        model.backbone = transformers.DINOv3ViTModel.from_pretrained(folder, **settings)
        file = load_file(os.path.join(folder, 'model.safetensors'))
        model.classifier.load_state_dict({k: file[f'classifier.{k}'] for k in ('weight', 'bias')})
        return model


OWN = {DINOv3ViTForImageClassification.__name__: DINOv3ViTForImageClassification}


def open_model(folder, **settings):
    """Returns the model in evaluation mode, and the size of its vocabulary if it reads text."""
    with open(os.path.join(folder, 'config.json')) as file:
        config = json.load(file)
    if 'architectures' in config:
        name = config['architectures'][0]
        model = (OWN.get(name) or getattr(transformers, name)).from_pretrained(folder, **settings)
        return model.eval(), config.get('vocab_size')
    import timm
    model = timm.create_model(config['architecture'], **{'num_classes': config['num_classes'], **config.get('model_args', {})})
    model.load_state_dict(load_file(os.path.join(folder, 'model.safetensors')))
    return model.eval(), None
