"""Golden folders for values of config.json with small effects that were once computed incorrectly: an activation of ResNet other than relu, padding
tokens inside and before a text, images whose size is not a multiple of the patches, a separate head despite `tie_word_embeddings`.
Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_config_values.py [folder]"""
import copy, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import seeded, summary, tensor
from file_names import file_names
from jitter import jitter
from safetensors.torch import load_file, save_file
from transformers import (BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM, ResNetConfig, ResNetForImageClassification,
                          RobertaConfig, RobertaForSequenceClassification, ViTConfig, ViTForImageClassification)

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note='float32, eval mode unless said; every parameter jittered so biases and norms matter')


def run(model, names, inputs, labels, mode='eval'):
    model = copy.deepcopy(model).train(mode == 'train')
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    out = model(**inputs, labels=labels)
    out.loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    result = dict(loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads)
    if mode == 'train':
        result['buffers'] = {n: summary(b) for n, b in model.named_buffers() if 'running' in n}
    return result


def make(name, model, seed, inputs, labels, modes=('eval',), edit=None):
    """Saves a jittered random model; `edit` changes the folder, from which the model is read again as by Transformers."""
    jitter(model, seed)
    folder = os.path.join(OUT, name)
    model.eval().save_pretrained(folder)
    if edit:
        edit(folder)
        model = type(model).from_pretrained(folder).eval()
    names = file_names(model, folder)
    golden = dict(meta=META, model=type(model).__name__, inputs={k: tensor(v) for k, v in inputs.items()}, labels=tensor(labels))
    for mode in modes:
        result = run(model, names, inputs, labels, mode)
        golden.update(result if mode == 'eval' else {mode: result})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()))


four, five = torch.randn(4, 3, 24, 24, generator=seeded(303)), torch.tensor([3, 0, 2, 4])
torch.manual_seed(301)
# The activation comes after the stem and after each sum; inside a layer, Transformers uses relu regardless of the config.
make('resnet_gelu', ResNetForImageClassification(ResNetConfig(num_channels=3, embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], hidden_act='gelu',
     num_labels=5)), 302, dict(pixel_values=four), five, modes=('eval', 'train'))

pixels = torch.randn(2, 3, 30, 20, generator=seeded(313))
torch.manual_seed(311)
make('vit_cropped', ViTForImageClassification(ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48,
     image_size=[30, 20], patch_size=8, num_labels=5)), 312, dict(pixel_values=pixels), torch.tensor([1, 4]))

text = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=3)


def padded(seed, pad):
    """Padding that is attended to, padding on the left, and a text with only padding after its first token."""
    ids = torch.randint(4, 64, (4, 12), generator=seeded(seed))
    seen = torch.ones_like(ids)
    ids[0, 3:5] = pad
    ids[1, :4] = pad
    seen[1, :4] = 0
    ids[2, 8:] = pad
    seen[2, 8:] = 0
    ids[2, 2] = pad
    ids[3, 1:] = pad
    return dict(input_ids=ids, attention_mask=seen)


three = torch.tensor([0, 2, 1, 1])
torch.manual_seed(321)
make('roberta_padded', RobertaForSequenceClassification(RobertaConfig(**text, max_position_embeddings=16, type_vocab_size=1, pad_token_id=1)),
     322, padded(323, 1), three)
torch.manual_seed(331)
make('bert_padded', BertForSequenceClassification(BertConfig(**text, max_position_embeddings=16, pad_token_id=2)), 332, padded(333, 2), three)


def say_tied(folder):
    """The file keeps its head, although the config says that it has none."""
    path = os.path.join(folder, 'config.json')
    with open(path) as file:
        config = json.load(file)
    with open(path, 'w') as file:
        json.dump({**config, 'tie_word_embeddings': True}, file, indent=2)
        file.write('\n')


def repeat_embedding(folder):
    """The head is in the file, with the values of the embedding."""
    path = os.path.join(folder, 'model.safetensors')
    weights = load_file(path)
    save_file({**weights, 'lm_head.weight': weights['model.embed_tokens.weight'].clone()}, path, metadata={'format': 'pt'})


decoder = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
               max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=2)
ids = torch.randint(3, 64, (2, 12), generator=seeded(343))
ids[0, 5] = ids[1, 2] = 2  # the end-of-text token is also the padding, and packed texts contain it
labels = ids.clone()
inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
torch.manual_seed(341)
make('llama_own_head', LlamaForCausalLM(LlamaConfig(**decoder, tie_word_embeddings=False)), 342, inputs, labels, edit=say_tied)
torch.manual_seed(351)
make('llama_repeated_head', LlamaForCausalLM(LlamaConfig(**decoder, tie_word_embeddings=True)), 352, inputs, labels, edit=repeat_embedding)
