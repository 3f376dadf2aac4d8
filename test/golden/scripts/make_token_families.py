"""Golden folders of every encoder family with a head that labels tokens, the alignment of words and tokens, and seqeval's scores.
Deterministic (fixed seeds, 1 thread). Writes NAME_tokens folders, ../word_ids.json and ../seqeval.json.
run: OMP_NUM_THREADS=1 python make_token_families.py      (torch, transformers, seqeval)"""
import copy, gzip, json, os, random
os.environ['HF_HUB_OFFLINE'] = '1'
import seqeval, torch, transformers
from as_json import seeded, summary, tensor
from file_names import file_names
from jitter import jitter
from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU
from tokenizers import Tokenizer

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__, note='float32, eval mode; every parameter jittered so biases and norms matter')
UNLABELED = -100


def make(family, config, seed, types=False):
    """Saves a jittered random model with five labels, and its results for a batch in which some tokens do not count."""
    torch.manual_seed(seed)
    model = getattr(transformers, f'{family}ForTokenClassification')(config).eval()
    jitter(model, seed + 1)
    name = dict(Bert='bert', Roberta='roberta', XLMRoberta='xlm_roberta', Camembert='camembert', DistilBert='distilbert', Electra='electra', Albert='albert', DebertaV2='deberta', ModernBert='modernbert', MPNet='mpnet', NomicBert='nomic_bert', EuroBert='eurobert', Ultrabert='ultrabert', Gte='gte', Esm='esm')[family] + '_tokens'
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    ids = torch.randint(3, 64, (2, 9), generator=seeded(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, 6:] = 0
    ids[1, 6:] = config.pad_token_id
    labels = torch.randint(0, 5, (2, 9), generator=seeded(seed + 3))
    labels[:, 0] = labels[0, 8] = labels[0, 3] = UNLABELED
    labels[1, 5:] = UNLABELED
    inputs = dict(input_ids=ids, attention_mask=seen, **(dict(token_type_ids=torch.zeros_like(ids)) if types else {}))
    names = file_names(model, folder)
    found = copy.deepcopy(model)
    out = found(**inputs, labels=labels)
    out.loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in found.named_parameters() if p.grad is not None}
    golden = dict(meta=META, model=type(model).__name__, inputs={k: tensor(v) for k, v in inputs.items()}, labels=tensor(labels),
                  loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads)
    json.dump(golden, open(os.path.join(folder, 'golden.json'), 'w'), separators=(',', ':'))
    print(name, golden['loss'])


small = dict(vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=16, num_labels=5)
make('Bert', transformers.BertConfig(**small, type_vocab_size=2, pad_token_id=0), 501, types=True)
make('Roberta', transformers.RobertaConfig(**small, type_vocab_size=1, pad_token_id=1), 511)
make('XLMRoberta', transformers.XLMRobertaConfig(**small, type_vocab_size=1, pad_token_id=1), 521)
make('Camembert', transformers.CamembertConfig(**small, type_vocab_size=1, pad_token_id=1), 621)
make('DistilBert', transformers.DistilBertConfig(vocab_size=64, max_position_embeddings=16, dim=16, hidden_dim=24, n_layers=2, n_heads=2, num_labels=5, pad_token_id=0), 531)
make('Electra', transformers.ElectraConfig(**small, embedding_size=8, type_vocab_size=1, pad_token_id=0), 541)
make('Albert', transformers.AlbertConfig(**small, embedding_size=8, type_vocab_size=1, pad_token_id=0), 551)
make('DebertaV2', transformers.DebertaV2Config(**small, relative_attention=True, pos_att_type=['c2p', 'p2c'], position_buckets=4, share_att_key=True,
     norm_rel_ebd='layer_norm', position_biased_input=False, type_vocab_size=0, pad_token_id=0), 561)
make('ModernBert', transformers.ModernBertConfig(**small, local_attention=4, classifier_activation='silu', pad_token_id=0), 571)
make('MPNet', transformers.MPNetConfig(**{**small, 'max_position_embeddings': 18}, pad_token_id=1), 581)
make('NomicBert', transformers.NomicBertConfig(**small), 591)
make('EuroBert', transformers.EuroBertConfig(**small, pad_token_id=0, bos_token_id=1, eos_token_id=2, mask_token_id=3), 601)
make('Gte', transformers.GteConfig(**small, pad_token_id=1), 611)
make('Ultrabert', transformers.UltrabertConfig(**small, sliding_window=2, pad_token_id=0, bos_token_id=1, eos_token_id=2), 641)
make('Esm', transformers.EsmConfig(**small, pad_token_id=1, mask_token_id=32, token_dropout=True, position_embedding_type='rotary'), 631)

WORDS = [['George', 'Washington', 'went', 'to', 'New-York', '.'], ['EU', 'rejects', 'German', 'call', 'to', 'boycott', 'lamb', '!'], ['don', "'t", 'naïve', 'façade', '日本', '東京都'],
         ['U.S.', '$', '1,234.56', '(', 'e.g.', ')'], ['antidisestablishmentarianism', 'x'], ['\u200b', 'after', 'nothing'], ['I', '👍🏽', 'it', "''"]]


def alignment(kind, **settings):
    """Returns ids and the word of each token, by Transformers' fast tokenizer."""
    read = lambda name: json.load(gzip.open(os.path.join(OUT, 'tokenizers', f'{name}.json.gz')))
    definition = json.loads(json.dumps(read(kind)['tokenizer']).replace('"CHARSMAP"', json.dumps(read('charsmap'))))
    if settings.get('add_prefix_space'):
        definition['pre_tokenizer']['add_prefix_space'] = True
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(definition)))
    found = []
    for words, longest in [(words, longest) for words in WORDS for longest in (512, 7)]:
        encoded = fast(words, is_split_into_words=True, truncation=True, max_length=longest)
        found.append(dict(words=words, max_length=longest, ids=encoded['input_ids'], word_ids=encoded.word_ids()))
    return found


# RoBERTa's words need a leading space; otherwise, Transformers refuses the tokenizer.
kinds = {kind: alignment(kind) for kind in ['bert-cased', 'bert-uncased', 'xlm-roberta', 'deberta-v3', 'albert']}
json.dump(dict(transformers=transformers.__version__, kinds={**kinds, 'roberta': alignment('roberta', add_prefix_space=True)}), open(os.path.join(OUT, 'word_ids.json'), 'w'), separators=(',', ':'))

draw = random.Random(7)
TYPES = ['PER', 'LOC', 'MISC-X']


def sequence(letters, length):
    return [draw.choice(['O'] + [f'{letter}-{kind}' for letter in letters for kind in TYPES]) for _ in range(length)]


def scored(letters):
    """Random tags, most of which follow no scheme: entities of each sentence, and the scores over all."""
    truth = [sequence(letters, n % 9 + 1) for n in range(60)]
    # Most predictions are correct: a tag is kept with probability 0.7.
    predicted = [[tag if draw.random() < 0.7 else other for tag, other in zip(tags, sequence(letters, len(tags)))] for tags in truth]
    report = classification_report(truth, predicted, output_dict=True, zero_division=0)
    plain = {name: {k: float(v) for k, v in values.items()} for name, values in report.items()}
    return dict(truth=truth, predicted=predicted, entities=[[[kind, start, end + 1] for kind, start, end in get_entities(tags)] for tags in truth],
                accuracy=float(accuracy_score(truth, predicted)), report=plain)


def valid_bilou():
    """Tags that follow BILOU, as seqeval reads them in strict mode."""
    def one():
        tags = []
        for _ in range(draw.randint(1, 4)):
            kind, n = draw.choice(TYPES), draw.randint(0, 4)
            tags += ['O'] if n == 0 else [f'U-{kind}'] if n == 1 else [f'B-{kind}'] + [f'I-{kind}'] * (n - 2) + [f'L-{kind}']
        return tags
    truth = [one() for _ in range(40)]
    entities = [[[kind, start, end] for _, kind, start, end in (e.to_tuple() for e in sentence)] for sentence in seqeval.scheme.Entities(truth, BILOU).entities]
    return dict(truth=truth, entities=entities)


json.dump(dict(seqeval='1.2.2', bio=scored('BI'), iobes=scored('BIES'), bilou=valid_bilou()), open(os.path.join(OUT, 'seqeval.json'), 'w'), separators=(',', ':'))
