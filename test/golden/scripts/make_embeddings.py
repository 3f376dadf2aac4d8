"""Losses and gradients of sentence-transformers on the tiny BERT, four AdamW steps for all parameters, every third row (SPSFT) and
low-rank factors (LoRA), and metrics of its retrieval evaluator. Deterministic (1 thread), dropout off.
run: OMP_NUM_THREADS=1 python make_embeddings.py      (torch, transformers, sentence-transformers; writes ../embeddings.json)"""
import json, os
os.environ['HF_HUB_OFFLINE'] = '1'
import sentence_transformers, torch, transformers
from as_json import norm, numbers, seeded
from four_steps import ALPHA, EVERY, RANK, RATE, losses_of
from sentence_transformers import losses
from sentence_transformers.evaluation import InformationRetrievalEvaluator
from sentence_transformers.models import Normalize, Pooling
from tuned_vectors import Changed, features, low_rank, texts_of

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
FOLDER = os.path.join(OUT, 'bert')
# Texts of each sample: anchor, positive, two negatives.
TEXTS = texts_of([(5, 9, 7, 4), (8, 3, 6, 9), (4, 6, 9, 5)], 120)
SCORES = [0.9, 0.1, 0.5]
DIMENSIONS = 32


class Embedder(torch.nn.Module):
    """The modules of a sentence-transformers model, with the encoder of the tiny BERT."""
    def __init__(self, pooling='mean', normalize=True):
        super().__init__()
        self.encoder = transformers.BertModel.from_pretrained(FOLDER, add_pooling_layer=False, dtype=torch.float32, attn_implementation='eager').eval()
        self.pooling, self.normalize = Pooling(DIMENSIONS, pooling_mode=pooling), Normalize() if normalize else None

    def forward(self, given):
        found = dict(given, token_embeddings=self.encoder(**given).last_hidden_state)
        found = self.pooling(found)
        return self.normalize(found) if self.normalize else found

    def get_embedding_dimension(self):
        return DIMENSIONS

    def __getitem__(self, module):
        """The cached losses check the kind of the first module."""
        return (self.encoder, self.pooling)[module]


TRIPLET = losses.TripletDistanceMetric
MAKERS = dict(
    multiple_negatives=lambda m: losses.MultipleNegativesRankingLoss(m, scale=20.0),
    symmetric=lambda m: losses.MultipleNegativesSymmetricRankingLoss(m, scale=5.0),
    cached=lambda m: losses.CachedMultipleNegativesRankingLoss(m, scale=20.0, mini_batch_size=2),
    cached_symmetric=lambda m: losses.CachedMultipleNegativesSymmetricRankingLoss(m, scale=5.0, mini_batch_size=2),
    cached_matryoshka=lambda m: losses.MatryoshkaLoss(m, losses.CachedMultipleNegativesRankingLoss(m, scale=20.0, mini_batch_size=1), [32, 12, 4]),
    cosine=lambda m: losses.CosineSimilarityLoss(m),
    euclidean=lambda m: losses.TripletLoss(m, TRIPLET.EUCLIDEAN, 5),
    cosine_triplet=lambda m: losses.TripletLoss(m, TRIPLET.COSINE, 0.5),
    matryoshka=lambda m: losses.MatryoshkaLoss(m, losses.MultipleNegativesRankingLoss(m, scale=20.0), [32, 12, 4]),
    short_triplet=lambda m: losses.MatryoshkaLoss(m, losses.TripletLoss(m, TRIPLET.EUCLIDEAN, 1), [32, 8]),
)
# name: loss, settings of a recipe, texts of a sample, model
CASES = dict(
    pairs=('multiple_negatives', {}, 2, {}),
    pairs_cls=('multiple_negatives', {}, 2, dict(pooling='cls', normalize=False)),
    pairs_max=('multiple_negatives', {}, 2, dict(pooling='max', normalize=False)),
    hard=('multiple_negatives', dict(negatives=2), 4, {}),
    symmetric=('symmetric', dict(loss_type='symmetric', scale=5, negatives=1), 3, {}),
    cached=('cached', dict(mini_batch_size=2), 2, {}),
    cached_hard=('cached', dict(negatives=2, mini_batch_size=2), 4, dict(pooling='cls', normalize=False)),
    cached_symmetric=('cached_symmetric', dict(loss_type='symmetric', scale=5, negatives=1, mini_batch_size=2), 3, {}),
    cached_matryoshka=('cached_matryoshka', dict(matryoshka_dims=[32, 12, 4], negatives=1, mini_batch_size=1), 3, {}),
    cosine=('cosine', dict(loss_type='cosine'), 2, dict(normalize=False)),
    triplet=('euclidean', dict(loss_type='triplet'), 3, dict(normalize=False)),
    triplet_cosine=('cosine_triplet', dict(loss_type='triplet', distance='cosine', margin=0.5), 3, {}),
    matryoshka=('matryoshka', dict(matryoshka_dims=[32, 12, 4], negatives=1), 3, {}),
    matryoshka_triplet=('short_triplet', dict(loss_type='triplet', margin=1, matryoshka_dims=[32, 8]), 3, dict(normalize=False)),
)
labels = torch.tensor(SCORES)


def compared(name):
    kind, settings, texts, form = CASES[name]
    model = Embedder(**form)
    loss = MAKERS[kind](model)([features(TEXTS, side) for side in range(texts)], labels)
    loss.backward()
    grads = {f'bert.{key}': dict(l2=norm(p.grad), first4=numbers(p.grad.flatten()[:4])) for key, p in model.encoder.named_parameters() if p.grad is not None}
    with torch.no_grad():
        vectors = model(features(TEXTS, 0))['sentence_embedding']
    return dict(settings=settings, texts=texts, pooling=dict(mode=form.get('pooling', 'mean'), normalize=form.get('normalize', True)),
                loss=float(f'{loss.item():.9g}'), grads=grads, vectors=[numbers(v) for v in vectors])


def trace():
    given = [features(TEXTS, side) for side in range(3)]

    def train(model, parameters, changed, masks):
        loss = losses.MultipleNegativesRankingLoss(Changed(model, changed), scale=20.0)
        return losses_of(parameters, lambda: loss(given, labels), masks)

    model = Embedder()
    result = dict(full=train(model, list(model.parameters()), dict, []))
    model, masks = Embedder(), []
    for key, p in model.encoder.named_parameters():
        module = model.encoder.get_submodule(key.rsplit('.', 1)[0])
        if isinstance(module, torch.nn.Linear):
            masks.append((p, (torch.arange(p.shape[0]) % EVERY == 0).float().reshape(-1, *[1] * (p.dim() - 1))))
    result['spsft'] = train(model, [p for p, _ in masks], dict, masks)
    model = Embedder()
    factors, merged = low_rank(model, 'encoder', 'bert.')
    result['lora'] = train(model, factors, merged, [])
    return result


def retrieval():
    draw = seeded(11)
    queries, documents = torch.randn(6, 5, generator=draw), torch.randn(24, 5, generator=draw)
    relevant = [[0], [1, 7], [2, 3, 9], [20], [4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18], [23]]
    evaluator = InformationRetrievalEvaluator(
        {str(i): str(i) for i in range(6)}, {str(i): str(i) for i in range(24)}, {str(i): {str(d) for d in found} for i, found in enumerate(relevant)},
        mrr_at_k=[10], ndcg_at_k=[10], accuracy_at_k=[1], precision_recall_at_k=[1, 5, 10], map_at_k=[10])
    score = lambda a, b: torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).T
    best = [[(s.item(), str(d)) for d, s in enumerate(row)] for row in score(queries, documents)]
    hits = [[dict(corpus_id=d, score=s) for s, d in sorted(row, reverse=True)] for row in best]
    found = evaluator.compute_metrics(hits)
    measures = dict(ndcg_at_10=found['ndcg@k'][10], mrr_at_10=found['mrr@k'][10], **{f'recall_at_{k}': found['recall@k'][k] for k in (1, 5, 10)})
    return dict(queries=[numbers(q) for q in queries], documents=[numbers(d) for d in documents], relevant=relevant, measures={k: float(v) for k, v in measures.items()})


out = dict(torch=torch.__version__, transformers=transformers.__version__, sentence_transformers=sentence_transformers.__version__,
           rate=RATE, every=EVERY, rank=RANK, alpha=ALPHA, scores=SCORES,
           texts=TEXTS,
           cases={name: compared(name) for name in CASES}, trace=trace(), retrieval=retrieval())
json.dump(out, open(os.path.join(OUT, 'embeddings.json'), 'w'), separators=(',', ':'))
print({name: case['loss'] for name, case in out['cases'].items()}, out['trace'], out['retrieval']['measures'])
print(os.path.getsize(os.path.join(OUT, 'embeddings.json')))
