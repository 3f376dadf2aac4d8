"""Tiny decoders as embedding models: a causal one whose last token is the embedding (like Qwen3-Embedding, whose config names a class with a
head that the files lack), and a bidirectional one with layers after the mean (like EmbeddingGemma); with the loss, gradients and embeddings of
sentence-transformers, and four AdamW steps for all parameters and for low-rank factors. Deterministic (1 thread).
run: OMP_NUM_THREADS=1 python make_embedding_decoders.py      (torch, transformers, sentence-transformers; writes ../embedding_decoders.json)"""
import json, os
os.environ['HF_HUB_OFFLINE'] = '1'
import sentence_transformers, torch, transformers
from as_json import norm, numbers
from four_steps import ALPHA, RANK, RATE, losses_of
from jitter import jitter
from sentence_transformers import losses
from sentence_transformers.models import Dense, Normalize, Pooling
from transformers import Gemma3TextConfig, Gemma3TextModel, Qwen3Config, Qwen3Model
from tuned_vectors import Changed, features, low_rank, texts_of

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
# Texts of each sample: anchor, positive, negative; most are longer than the window.
TEXTS = texts_of([(5, 9, 7), (8, 3, 6), (9, 6, 4)], 60)
WIDTH = 32
small = dict(vocab_size=64, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
             max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True)


class Embedder(torch.nn.Module):
    """The modules of a sentence-transformers model after a decoder, under the names of their folders."""
    def __init__(self, decoder, behind):
        super().__init__()
        self.decoder, self.behind = decoder, torch.nn.ModuleDict(behind)

    def forward(self, given):
        found = dict(given, token_embeddings=self.decoder(**given).last_hidden_state)
        for module in self.behind.values():
            found = module(found)
        return found

    def get_embedding_dimension(self):
        return WIDTH


def qwen():
    torch.manual_seed(71)
    return Embedder(jitter(Qwen3Model(Qwen3Config(**small)), 72), {'1_Pooling': Pooling(WIDTH, pooling_mode='lasttoken'), '2_Normalize': Normalize()})


def gemma():
    torch.manual_seed(81)
    config = Gemma3TextConfig(**small, sliding_window=6, layer_types=['sliding_attention', 'full_attention'], query_pre_attn_scalar=8,
                              use_bidirectional_attention=True)
    dense = lambda width, out: jitter(Dense(width, out, bias=False, activation_function=torch.nn.Identity()), width)
    return Embedder(jitter(Gemma3TextModel(config), 82), {'1_Pooling': Pooling(WIDTH, pooling_mode='mean'), '2_Dense': dense(WIDTH, 48),
                                                            '3_Dense': dense(48, 24), '4_Normalize': Normalize()})


PROMPTS = dict(qwen3_embedding=dict(query='Instruct: Find the answer\nQuery:', document=''),
               gemma3_embedding=dict(query='task: search result | query: ', document='title: none | text: ', Clustering='task: clustering | query: '))


def save(name, model, architecture):
    """Writes the folder as sentence-transformers does, without a tokenizer."""
    folder = os.path.join(OUT, name)
    model.decoder.save_pretrained(folder)
    path = os.path.join(folder, 'config.json')
    config = json.load(open(path))
    json.dump(dict(config, architectures=[architecture]), open(path, 'w'), indent=2)
    modules = [('', 'Transformer')] + [(at, type(module).__name__) for at, module in model.behind.items()]
    json.dump([dict(idx=i, name=str(i), path=at, type=f'sentence_transformers.models.{kind}') for i, (at, kind) in enumerate(modules)],
              open(os.path.join(folder, 'modules.json'), 'w'), indent=2)
    for at, module in model.behind.items():
        if not isinstance(module, Normalize):
            os.makedirs(os.path.join(folder, at), exist_ok=True)
            module.save(os.path.join(folder, at))
    json.dump(dict(prompts=PROMPTS[name], default_prompt_name=None, similarity_fn_name='cosine'),
              open(os.path.join(folder, 'config_sentence_transformers.json'), 'w'), indent=2)


def named(model):
    """Maps names of the folder's tensors to parameters."""
    return {key.removeprefix('decoder.').removeprefix('behind.'): p for key, p in model.named_parameters()}


def loss_of(model):
    given = [features(TEXTS, side) for side in range(3)]
    loss = losses.MultipleNegativesRankingLoss(model, scale=20.0)
    return lambda: loss(given, None)


def trace(make):
    model = make()
    full = losses_of(list(model.parameters()), loss_of(model), [])
    model = make()
    factors, merged = low_rank(model, 'decoder')
    return dict(full=full, lora=losses_of(factors, loss_of(Changed(model, merged)), []))


def golden(name, make, architecture):
    model = make()
    save(name, model, architecture)
    loss = loss_of(model)()
    loss.backward()
    grads = {key: dict(l2=norm(p.grad), first4=numbers(p.grad.flatten()[:4])) for key, p in named(model).items() if p.grad is not None}
    with torch.no_grad():
        vectors = model(features(TEXTS, 0))['sentence_embedding']
    return dict(settings=dict(negatives=1), texts=3, loss=float(f'{loss.item():.9g}'), grads=grads, vectors=[numbers(v) for v in vectors], trace=trace(make))


out = dict(torch=torch.__version__, transformers=transformers.__version__, sentence_transformers=sentence_transformers.__version__,
           rate=RATE, rank=RANK, alpha=ALPHA, texts=TEXTS,
           folders=dict(qwen3_embedding=golden('qwen3_embedding', qwen, 'Qwen3ForCausalLM'),
                        gemma3_embedding=golden('gemma3_embedding', gemma, 'Gemma3TextModel')))
json.dump(out, open(os.path.join(OUT, 'embedding_decoders.json'), 'w'), separators=(',', ':'))
print({name: (found['loss'], found['trace']) for name, found in out['folders'].items()})
