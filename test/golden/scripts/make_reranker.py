"""A tiny BERT saved by sentence-transformers' CrossEncoder, losses and gradients of its BinaryCrossEntropyLoss, four training steps,
and metrics of its CrossEncoderRerankingEvaluator. Deterministic (1 thread), dropout off. Writes ../bert_reranker and ../reranker.json.
run: OMP_NUM_THREADS=1 python make_reranker.py      (torch, transformers, sentence-transformers)"""
import json, os, shutil, tempfile
os.environ['HF_HUB_OFFLINE'] = '1'
import sentence_transformers, torch, transformers
from make_preference_traces import rounded, wave
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
RATE, STEPS = 1e-3, 4
# Tokens of each query and document, and the label.
PAIRS = [(4, 9, 1.0), (4, 5, 0.0), (6, 3, 0.25), (3, 8, 1.0)]
SCORES = [[0.1, 0.9, 0.3, 0.2, 0.8], [0.5, 0.4, 0.7], [0.2, 0.1]]
RELEVANT = [[1, 0, 1, 0, 0], [0, 1, 0], [0, 0]]


def word(token):
    return f'w{token}.'


def text(start, count):
    return ' '.join(word((start * 31 + 7 * i) % 110 + 5) for i in range(count))


def tokenizer(vocab):
    words = Tokenizer(models.WordLevel({word(i): i for i in range(vocab)}, unk_token=word(1)))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.BertProcessing((word(3), 3), (word(2), 2))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=word(0), unk_token=word(1), cls_token=word(2), sep_token=word(3),
                                   model_max_length=64, model_input_names=['input_ids', 'token_type_ids', 'attention_mask'])


def make_folder():
    given = tempfile.mkdtemp()
    bert = transformers.BertForSequenceClassification.from_pretrained(os.path.join(OUT, 'bert'), num_labels=1, ignore_mismatched_sizes=True)
    with torch.no_grad():
        bert.classifier.weight.copy_(torch.sin(torch.arange(bert.classifier.weight.numel()).float()).reshape(bert.classifier.weight.shape) / 2)
        bert.classifier.bias.fill_(0.1)
    for name in ('hidden_dropout_prob', 'attention_probs_dropout_prob'):
        setattr(bert.config, name, 0.0)
    bert.save_pretrained(given)
    tokenizer(bert.config.vocab_size).save_pretrained(given)
    saved = tempfile.mkdtemp()
    CrossEncoder(given, device='cpu').save_pretrained(saved)
    folder = os.path.join(OUT, 'bert_reranker')
    os.makedirs(folder, exist_ok=True)
    for name in ('config.json', 'model.safetensors'):
        shutil.copy(os.path.join(saved, name), folder)
    return saved


def trainer(folder):
    model = CrossEncoder(folder, device='cpu')
    loss = BinaryCrossEntropyLoss(model)
    queries, documents = zip(*[(text(3 * i if i != 1 else 0, q), text(3 * i + 1, d)) for i, (q, d, _) in enumerate(PAIRS)])
    labels = torch.tensor([label for _, _, label in PAIRS])
    return model, queries, documents, lambda: loss([list(queries), list(documents)], labels)


class Given:
    """Replaces a model; its scores are given."""
    def predict(self, pairs, **_):
        import numpy
        return numpy.array([SCORES[int(q)][int(d)] for q, d in pairs])


if __name__ == '__main__':
    folder = make_folder()
    model, queries, documents, loss = trainer(folder)
    rows = [dict(ids=row['input_ids'], types=row['token_type_ids'], label=label)
            for row, (_, _, label) in zip((model.tokenizer(q, d) for q, d in zip(queries, documents)), PAIRS)]
    value = loss()
    value.backward()
    names = {id(p): name for name, p in model[0].auto_model.named_parameters()} if hasattr(model[0], 'auto_model') else {id(p): name for name, p in model.model.named_parameters()}
    gradients = {names[id(p)]: [rounded(p.grad.double().norm().item()), rounded((p.grad.double() * wave(p)).sum().item())]
                 for p in model.parameters() if p.grad is not None}
    trained = list(model.parameters())
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    trace = []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        found = loss()
        trace.append(rounded(found.item()))
        if step < STEPS:
            found.backward()
            optimizer.step()
    samples = [dict(query=str(q), positive=[str(d) for d, hit in enumerate(hits) if hit], negative=[str(d) for d, hit in enumerate(hits) if not hit])
               for q, hits in enumerate(RELEVANT) if any(hits)]
    evaluator = CrossEncoderRerankingEvaluator(samples, at_k=10, write_csv=False)
    evaluator.store_metrics_in_model_card_data = lambda *args: None
    measures = {name: rounded(float(value)) for name, value in evaluator(Given()).items() if not name.startswith('base')}
    scores = [rounded(float(x)) for x in CrossEncoder(folder, device='cpu').predict(list(zip(queries, documents)))]
    meta = dict(torch=torch.__version__, transformers=transformers.__version__, sentence_transformers=sentence_transformers.__version__)
    with open(os.path.join(OUT, 'reranker.json'), 'w') as file:
        json.dump(dict(meta=meta, rate=RATE, rows=rows, loss=rounded(value.item()), predicted=scores, gradients=gradients, full=trace,
                       ranking=dict(scores=SCORES, relevant=RELEVANT, measures=measures)), file, separators=(',', ':'))
        file.write('\n')
    print(value.item(), trace, measures, scores, rows[0])
