"""Golden folders of encoders other than BERT: DistilBERT, ELECTRA, ModernBERT, ALBERT, XLM-RoBERTa, CamemBERT, MPNet, NomicBERT, EuroBERT, UltraBERT, GTE and ESM, with padding; and ModernBERT
as a decoder, which reads the last token.
Also writes mpnet_buckets.json: the bucket of each distance.
Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_encoder_families.py [folder [name …]]      (with names, only these are written)"""
import copy, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import seeded, summary, tensor
from file_names import file_names
from jitter import jitter
from transformers import (AlbertConfig, AlbertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification,
                          ModernBertConfig, ModernBertForSequenceClassification, XLMRobertaConfig, XLMRobertaForSequenceClassification)
from safetensors.torch import load_file, save_file
from transformers import CamembertConfig, CamembertForSequenceClassification
from transformers import EsmConfig, EsmForSequenceClassification
from transformers import UltrabertConfig, UltrabertForSequenceClassification
from transformers import EuroBertConfig, EuroBertForSequenceClassification, GteConfig, GteForSequenceClassification
from transformers import ModernBertDecoderConfig, ModernBertDecoderForSequenceClassification
from transformers import MPNetConfig, MPNetForSequenceClassification, NomicBertConfig, NomicBertForSequenceClassification
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__, note='float32, eval mode; every parameter jittered so biases and norms matter')


def make(name, model_class, config, seed, inputs, labels, in_file=None, in_config=None):
    """Saves a jittered random model with its results for a small batch. in_file and in_config: return other tensors for the file
    and other keys for config.json, which are then read again"""
    if len(sys.argv) > 2 and name not in sys.argv[2:]:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    jitter(model, seed + 1)
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    names = file_names(model, folder)
    if in_file:
        path = os.path.join(folder, 'model.safetensors')
        save_file(in_file(load_file(path)), path, dict(format='pt'))
    if in_config:
        path = os.path.join(folder, 'config.json')
        changed = in_config(json.load(open(path)))
        with open(path, 'w') as file:
            json.dump(changed, file, indent=2, sort_keys=True)
    if in_file or in_config:
        model = model_class.from_pretrained(folder).eval()
    out = copy.deepcopy(model)
    found = out(**inputs, labels=labels)
    found.loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in out.named_parameters() if p.grad is not None}
    golden = dict(meta=META, model=model_class.__name__, inputs={k: tensor(v) for k, v in inputs.items()}, labels=tensor(labels),
                  loss=float(f'{found.loss.item():.8g}'), logits=tensor(found.logits), grads=grads)
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()), sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)))


def text(seed, tokens, types=False, words=128):
    """Three texts, the second padded; with segments if requested."""
    ids = torch.randint(3, words, (3, tokens), generator=seeded(seed))
    seen = torch.ones_like(ids)
    seen[1, tokens * 2 // 3:] = 0
    ids[1, tokens * 2 // 3:] = 0
    second = (torch.arange(tokens) >= tokens // 2).long().expand(3, tokens).contiguous()
    return dict(input_ids=ids, attention_mask=seen, **(dict(token_type_ids=second) if types else {}))


three = torch.tensor([0, 2, 1])


def older_ultrabert(config):
    """The keys of UltraBERT's first files, which describe each block."""
    kept = {key: value for key, value in config.items() if key not in ('layer_types', 'sliding_window', 'rope_parameters')}
    return {**kept, 'attention_windows': [None, 3, 3], 'rope_theta': [5000.0, 50.0, 50.0]}


distil = dict(vocab_size=128, max_position_embeddings=32, dim=32, hidden_dim=64, n_layers=2, n_heads=4)
make('distilbert', DistilBertForSequenceClassification, DistilBertConfig(**distil, num_labels=3), 301, text(303, 12), three)
# Positions that start as sines, no row for padding, another activation, and one number to predict.
make('distilbert_regression', DistilBertForSequenceClassification, DistilBertConfig(**{**distil, 'n_heads': 2}, sinusoidal_pos_embds=True, pad_token_id=None,
     activation='relu', num_labels=1), 311, text(313, 16), torch.tensor([0.5, -1.0, 2.0]))
electra = dict(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=32)
make('electra', ElectraForSequenceClassification, ElectraConfig(**electra, embedding_size=16, num_labels=3), 321, text(323, 12, True), three)
# Tables as wide as the blocks: no projection.
make('electra_wide', ElectraForSequenceClassification, ElectraConfig(**electra, embedding_size=32, type_vocab_size=1, hidden_act='gelu_new', num_labels=3),
     331, text(333, 15), three)
modern = dict(vocab_size=128, hidden_size=32, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64, pad_token_id=0, num_labels=3)
# 24 tokens exceed the windows of four to each side; both thetas matter.
make('modernbert', ModernBertForSequenceClassification, ModernBertConfig(**modern, num_hidden_layers=4, local_attention=8), 341, text(343, 24), three)
# Biases everywhere, the mean of the tokens, windows longer than the text, and local blocks according to the config.
make('modernbert_mean', ModernBertForSequenceClassification, ModernBertConfig(**modern, num_hidden_layers=2, local_attention=64, norm_bias=True, attention_bias=True,
     mlp_bias=True, classifier_bias=True, classifier_pooling='mean', classifier_activation='relu', hidden_activation='silu',
     layer_types=['sliding_attention', 'full_attention'], rope_parameters=dict(full_attention=dict(rope_type='default', rope_theta=500.0),
     sliding_attention=dict(rope_type='default', rope_theta=50.0))), 351, text(353, 12), three)
make('modernbert_decoder_score', ModernBertDecoderForSequenceClassification, ModernBertDecoderConfig(**modern, num_hidden_layers=2, local_attention=10, initializer_range=0.3,
     classifier_bias=True, classifier_activation='relu'), 511, text(513, 12), three)
albert = dict(vocab_size=128, hidden_size=32, num_attention_heads=4, intermediate_size=48, max_position_embeddings=32, num_labels=3)
# One block for all four layers.
make('albert', AlbertForSequenceClassification, AlbertConfig(**albert, embedding_size=16, num_hidden_layers=4), 361, text(363, 12, True), three)
# Five layers in two groups of three and two, with two blocks each; tables as wide as the blocks are also projected.
make('albert_groups', AlbertForSequenceClassification, AlbertConfig(**albert, embedding_size=32, num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2,
     hidden_act='gelu', type_vocab_size=1, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1), 371, text(373, 15), three)
# Positions count from after the padding token, which is also inside the second text and always has the same position.
xlm = text(383, 14)
xlm['input_ids'][1] = torch.where(xlm['attention_mask'][1] == 1, xlm['input_ids'][1], 1)
xlm['input_ids'][1, 4] = 1
make('xlm_roberta', XLMRobertaForSequenceClassification, XLMRobertaConfig(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
     intermediate_size=64, max_position_embeddings=18, type_vocab_size=1, num_labels=3), 381, xlm, three)
# Its own tokens around a text come behind those of fairseq.
camembert = text(387, 13)
camembert['input_ids'][1] = torch.where(camembert['attention_mask'][1] == 1, camembert['input_ids'][1], 1)
camembert['input_ids'][:, 0] = 5
make('camembert', CamembertForSequenceClassification, CamembertConfig(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
     intermediate_size=64, max_position_embeddings=18, type_vocab_size=1, layer_norm_eps=1e-5, bos_token_id=5, eos_token_id=6, num_labels=3), 385, camembert, three)

mpnet = dict(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=34)


def with_ones(inputs):
    """The padding token at the end of the second text, and inside it, where it has the row of padding."""
    inputs['input_ids'][1] = torch.where(inputs['attention_mask'][1] == 1, inputs['input_ids'][1], 1)
    inputs['input_ids'][1, 4] = 1
    return inputs


# 26 tokens, so that far distances share buckets.
make('mpnet', MPNetForSequenceClassification, MPNetConfig(**mpnet, num_labels=3), 391, with_ones(text(393, 26)), three)
# Padding by another token, which has positions; a table with rows that no distance uses; one number to predict.
make('mpnet_regression', MPNetForSequenceClassification, MPNetConfig(**mpnet, pad_token_id=0, relative_attention_num_buckets=40, hidden_act='relu', layer_norm_eps=1e-5,
     num_labels=1), 401, text(403, 14), torch.tensor([0.5, -1.0, 2.0]))
rotary = dict(vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=32)
# Heads wider than a share of the hidden size, stretched positions, and another activation.
make('nomic_bert', NomicBertForSequenceClassification, NomicBertConfig(**rotary, head_dim=12, hidden_act='gelu', layer_norm_eps=1e-5, num_labels=3,
     rope_parameters=dict(rope_type='yarn', rope_theta=500.0, factor=2.0, original_max_position_embeddings=16)), 411, text(413, 14, True, 64), three)
# Keys and values for two queries each, biases everywhere, and wide heads; the head's outputs are averaged.
euro = dict(**{**rotary, 'num_attention_heads': 4}, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, mask_token_id=3, num_labels=3)
make('eurobert', EuroBertForSequenceClassification, EuroBertConfig(**euro, head_dim=6, attention_bias=True, mlp_bias=True), 421, text(423, 14, words=64), three)
# The head reads the mean of the tokens, and gives one number.
make('eurobert_mean', EuroBertForSequenceClassification, EuroBertConfig(**{**euro, 'num_labels': 1}, classifier_pooling='mean', hidden_act='gelu',
     rope_parameters=dict(rope_type='linear', rope_theta=500.0, factor=2.0)), 431, text(433, 12, words=64), torch.tensor([0.5, -1.0, 2.0]))
# Windows of two tokens to each side in all blocks but one, whose positions turn at another base; then the mean of the tokens, with the keys of the
# first files, and one number.
ultra = {**{key: value for key, value in euro.items() if key != 'mask_token_id'}, 'num_hidden_layers': 3}
make('ultrabert', UltrabertForSequenceClassification, UltrabertConfig(**ultra, head_dim=6, attention_bias=True, mlp_bias=True, sliding_window=2), 451, text(453, 14, words=64), three)
make('ultrabert_mean', UltrabertForSequenceClassification, UltrabertConfig(**{**ultra, 'num_labels': 1}, classifier_pooling='mean', attention_windows=[None, 3, 3],
     rope_theta=[5000.0, 50.0, 50.0]), 461, text(463, 12, words=64), torch.tensor([0.5, -1.0, 2.0]), in_config=older_ultrabert)
# No segments; the positions that the first files describe by a base of 500 and the type "ntk" with the factor 8, for heads of 8 features.
make('gte', GteForSequenceClassification, GteConfig(**rotary, type_vocab_size=0, pad_token_id=0, num_labels=3,
     rope_parameters=dict(rope_type='linear', rope_theta=4000.0, factor=8.0 ** (2 / 8))), 441, text(443, 14, words=64), three)

esm = dict(vocab_size=33, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=32, pad_token_id=1, mask_token_id=32)


def protein(seed):
    """Residues, and padding behind the second text; two hidden ones in the first text."""
    inputs = with_ones(text(seed, 14, words=30))
    inputs['input_ids'][0, 3] = inputs['input_ids'][0, 7] = 32
    return inputs


def older_esm(tensors):
    """Frequencies as Transformers 4 writes them: for each block, of which those of the first count. They differ from the config's base."""
    [name] = [name for name in tensors if name.endswith('inv_freq')]
    frequencies = tensors.pop(name)
    return {**tensors, **{name.replace('*', str(block)): frequencies * (0.7 if block == 0 else 3) for block in range(2)}}


def without_contacts(tensors):
    return {name: values for name, values in tensors.items() if '.contact_head.' not in name}


make('esm', EsmForSequenceClassification, EsmConfig(**esm, position_embedding_type='rotary', token_dropout=True, layer_norm_eps=1e-5, num_labels=3), 451, protein(453), three,
     older_esm)
# A table of positions, a norm behind the embeddings, and one number to predict; the file lacks the layer that finds contacts.
make('esm_learned', EsmForSequenceClassification, EsmConfig(**esm, emb_layer_norm_before=True, num_labels=1), 461, protein(463), torch.tensor([0.5, -1.0, 2.0]), without_contacts)
if len(sys.argv) > 2:
    sys.exit()
with open(os.path.join(OUT, 'mpnet_buckets.json'), 'w') as file:
    distances = torch.arange(-600, 601)
    json.dump(dict(meta=META, first=-600, rows=MPNetEncoder.relative_position_bucket(-distances).tolist()), file, separators=(',', ':'))
