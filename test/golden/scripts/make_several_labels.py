"""A golden folder of a classifier with any number of labels per text, weighted losses with PyTorch, and scores by scikit-learn.
Deterministic (fixed seeds, 1 thread). Writes ../bert_several and ../several_labels.json.
run: OMP_NUM_THREADS=1 python make_several_labels.py      (torch, transformers, scikit-learn)"""
import copy, json, os
os.environ['HF_HUB_OFFLINE'] = '1'
import numpy, sklearn, torch, transformers
from as_json import seeded, summary, tensor
from file_names import file_names
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.utils.class_weight import compute_class_weight

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__, note='float32, eval mode; every parameter jittered so biases and norms matter')

torch.manual_seed(601)
config = transformers.BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=16,
                                 num_labels=4, problem_type='multi_label_classification')
model = transformers.BertForSequenceClassification(config).eval()
with torch.no_grad():
    for p in model.parameters():
        p.add_(0.05 * torch.randn(p.shape, generator=seeded(602)))
folder = os.path.join(OUT, 'bert_several')
os.makedirs(folder, exist_ok=True)
model.save_pretrained(folder)
names = file_names(model, folder)
ids = torch.randint(3, 64, (3, 9), generator=seeded(603))
inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=torch.zeros_like(ids))
labels = torch.tensor([[1., 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]])


def found(loss_of):
    """Returns the loss and its gradients."""
    own = copy.deepcopy(model)
    out = own(**inputs)
    loss = loss_of(own, out.logits)
    loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in own.named_parameters() if p.grad is not None}
    return dict(loss=float(f'{loss.item():.8g}'), grads=grads), out.logits


plain, logits = found(lambda own, _: own(**inputs, labels=labels).loss)
golden = dict(meta=META, model=type(model).__name__, inputs={k: tensor(v) for k, v in inputs.items()}, labels=tensor(labels), logits=tensor(logits), **plain)
json.dump(golden, open(os.path.join(folder, 'golden.json'), 'w'), separators=(',', ':'))

# The same network with one label of four, and weights of the labels; rare labels have larger weights.
one, weights = torch.tensor([3, 0, 3]), torch.tensor([2.0, 0.5, 1.25, 0.75])
weighted = found(lambda _, logits: torch.nn.functional.cross_entropy(logits, one, weight=weights))[0]
several = found(lambda _, logits: torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights))[0]
counts = [7, 1, 4]
balanced = compute_class_weight('balanced', classes=numpy.arange(3), y=[i for i, n in enumerate(counts) for _ in range(n)])

draw = seeded(604)
truth, probabilities = (torch.rand(40, 5, generator=draw) < torch.tensor([.5, .3, .1, .05, 0])).int(), torch.rand(40, 5, generator=draw)
probabilities = (probabilities + truth * 0.4).clamp(max=1)
predicted = (probabilities >= 0.5).int()
t, p = truth.numpy(), predicted.numpy()
scores = dict(accuracy=accuracy_score(t, p), precision=precision_score(t, p, average='micro', zero_division=0), recall=recall_score(t, p, average='micro', zero_division=0),
              f1=f1_score(t, p, average='micro', zero_division=0), macro_f1=f1_score(t, p, average='macro', zero_division=0))
grid = sorted(set(probabilities.flatten().tolist()))
best = max((f1_score(t, (probabilities >= at).int().numpy(), average='micro', zero_division=0), -at) for at in grid)
json.dump(dict(torch=torch.__version__, sklearn=sklearn.__version__, weights=weights.tolist(), one_label=dict(labels=one.tolist(), **weighted), several_labels=several,
               counts=counts, balanced=balanced.tolist(), truth=truth.tolist(), probabilities=probabilities.tolist(), scores={k: float(v) for k, v in scores.items()},
               best=dict(f1=float(best[0]), threshold=-best[1])), open(os.path.join(OUT, 'several_labels.json'), 'w'), separators=(',', ':'))
print(golden['loss'], weighted['loss'], several['loss'], balanced, scores, best)
