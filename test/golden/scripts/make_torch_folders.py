"""Folders as models were published before safetensors and tokenizer.json: files of torch.save in both of its forms, whole and in shards,
with SentencePiece models or plain vocabularies; files that must be refused; and the results of SentencePiece and Transformers for texts.
Deterministic (fixed seeds, 1 thread), except for the keys of storages in the older form, which are addresses.
run: OMP_NUM_THREADS=1 python make_torch_folders.py [folder]      (also needs sentencepiece 0.2.3 and protobuf)"""
import collections, io, json, os, shutil, sys, unicodedata
os.environ['HF_HUB_OFFLINE'] = '1'
import sentencepiece, tokenizers, torch, transformers
from as_json import seeded, summary, tensor
from transformers import (AlbertTokenizer, AutoTokenizer, BertConfig, BertForSequenceClassification, BertTokenizer, DebertaV2Config, DebertaV2ForSequenceClassification,
                          LlamaConfig, LlamaForCausalLM, RobertaTokenizer)

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__, sentencepiece=sentencepiece.__version__,
            note='float32 arithmetic on the weights as stored, eval mode; every parameter jittered so biases and norms matter')

TRAINING = open(os.path.join(HERE, '..', '..', '..', 'LICENSE'), encoding='utf8').read().split('\n') + [
    'The river rose in 1927 and the land lay under water; naïve cafés closed, “quotes” and all … it cost 3,50 € (or £3).',
    'Der Fluß stieg, die Häuser standen leer. Élan, œuvre, Ærø, Łódź, São Paulo, señor.',
    'Река поднялась, и земля ушла под воду. Ο ποταμός ανέβηκε. 河は増水し、土地は水に沈んだ。 강이 불어났다.', '日本語と中文混排，全角ＡＢＣ１２３。'] * 4
TEXTS = ['the river rose', 'The river, in 1927', ' leading and trailing ', '  two  spaces\n\n\ttab  7 ', 'line\nbreak\r\nwindows', '', ' ', '\n', 'a', '▁', '▁▁ lower ▁ block',
         'naïve cafés — “quotes” … 3,50 €', 'ﬁne ﬂour ½ ① ｆｕｌｌ ｗｉｄｔｈ ＡＢＣ１２３', '日本語と中文混排，全角。', '😀 smile 👩‍👩‍👧 🇩🇪 family', 'unknown: ጰጱ ᚠᚢ x',
         'zero​width‌joiner﻿bom', 'nbsp here em narrow　ideographic', 'e\u0301 combining a\u0308\u0323 n\u0303o', 'Å K ſ ℡ ㌔ ㎏ ﷺ',
         'tab\tand\x07bell\x00nul', "I'm we'll THEY'RE don't", 'https://example.org/a_b?c=d&e=1#f', 'x' * 60, 'ABC' * 20 + ' license ' * 30, '한국어 강이', '\u2028line separator\u2029', 'Straße ǅ ŉ',
         'Apache License Version 2.0, January 2004', '<0x41> literal', '�', '𝓯𝓪𝓷𝓬𝔂 𝟙𝟚𝟛', 'Ⅷ ﾊﾝｶｸ ｶﾞ', 'soft\u00adhyphen', 'مرحبا بالعالم', 'नमस्ते दुनिया', 'สวัสดี']
PAIR = ['the river rose', 'and the land']


def folder(*names):
    path = os.path.join(OUT, *names)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def write(path, value):
    with open(path, 'w', encoding='utf8') as file:
        json.dump(value, file, ensure_ascii=False, separators=(',', ':'))


def reference(model, dtype, seed, inputs, labels, folder):
    """Jitters and rounds the model; writes config.json and golden.json. Returns its state dict in `dtype`."""
    generator = seeded(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
            p.copy_(p.to(dtype).float())
    model.eval()
    out = model(**inputs, labels=labels)
    out.loss.backward()
    grads = {n: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    write(os.path.join(folder, 'golden.json'), dict(meta=META, model=type(model).__name__, inputs={k: tensor(v) for k, v in inputs.items()}, labels=tensor(labels),
                                                    loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads))
    # DeBERTa-v3 is published without the name of a class.
    model.config.architectures = None if 'deberta' in folder else [type(model).__name__]
    model.config.save_pretrained(folder)
    print(os.path.basename(folder), out.loss.item())
    return collections.OrderedDict((n, p.detach().to(dtype)) for n, p in model.state_dict().items())


def tokens(seed, size, first, pad, length=12):
    ids = torch.randint(first, size, (3, length), generator=seeded(seed))
    seen = torch.ones_like(ids)
    seen[1, length * 2 // 3:] = 0
    ids[1, length * 2 // 3:] = pad
    return dict(input_ids=ids, attention_mask=seen)


def train(path, lines=TRAINING, **settings):
    """Returns a SentencePiece model without its training settings, which would only enlarge the file."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, num_threads=1, minloglevel=2, **settings)
    with open(path, 'wb') as file:
        file.write(model.getvalue())


def by_sentencepiece(path):
    spm = sentencepiece.SentencePieceProcessor(model_file=path)
    return [dict(text=t, ids=spm.encode(t), pieces=spm.encode(t, out_type=str)) for t in TEXTS]


def by_albert(path):
    """Tokenizes like Transformers 4's AlbertTokenizer; version 5 removes pieces such as ( from the text before its other steps."""
    spm = sentencepiece.SentencePieceProcessor(model_file=path)

    def pieces(text):
        text = unicodedata.normalize('NFKD', ' '.join(text.split()).replace('``', '"').replace("''", '"'))
        for piece in spm.encode(''.join(c for c in text if not unicodedata.combining(c)).lower(), out_type=str):
            if len(piece) > 1 and piece[-1] == ',' and piece[-2].isdigit():
                again = spm.encode(piece[:-1].replace('▁', ''), out_type=str)
                if piece[0] != '▁' and again[0][0] == '▁':
                    again = again[1:] if len(again[0]) == 1 else [again[0][1:], *again[1:]]
                yield from [*again, ',']
            else:
                yield piece
    found = [(text, list(pieces(text))) for text in [*TEXTS, "``quoted'' it's 1,000 and 9,", '(a) - b. c', 'x – £3 €4', 'in 1927, 3,50']]
    return [dict(text=text, ids=[spm.piece_to_id(piece) for piece in own], pieces=own) for text, own in found]


def compare(name, expected, tokenizer):
    """Prints where Transformers' own class disagrees with SentencePiece."""
    for sample in expected:
        ids = tokenizer.encode(sample['text'], add_special_tokens=False)
        if ids != sample['ids']:
            print('  ', name, 'differs by Transformers:', repr(sample['text'][:40]), tokenizer.convert_ids_to_tokens(ids)[:12], sample['pieces'][:12])


texts = {}
small = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=64)
three = torch.tensor([0, 2, 1])

# --- as microsoft/deberta-v3-base: one file in half precision with heads of its pretraining, and spm.model -------------------
path = folder('deberta_torch')
train(f'{path}/spm.model', vocab_size=400, character_coverage=0.98, model_type='unigram', normalization_rule_name='nmt_nfkc', pad_id=0, bos_id=1, eos_id=2, unk_id=3,
      pad_piece='[PAD]', bos_piece='[CLS]', eos_piece='[SEP]', unk_piece='[UNK]', hard_vocab_limit=False)
write(f'{path}/tokenizer_config.json', dict(do_lower_case=False, vocab_type='spm'))
torch.manual_seed(301)
config = DebertaV2Config(vocab_size=420, type_vocab_size=0, relative_attention=True, position_buckets=8, norm_rel_ebd='layer_norm', share_att_key=True,
                         pos_att_type='p2c|c2p', position_biased_input=False, num_labels=3, **small)
state = reference(DebertaV2ForSequenceClassification(config), torch.float16, 302, tokens(303, 401, 4, 0), three, path)
state['lm_predictions.lm_head.dense.weight'] = torch.zeros(4, 4, dtype=torch.float16)
state['mask_predictions.classifier.bias'] = torch.zeros(1, dtype=torch.float16)
torch.save(state, f'{path}/pytorch_model.bin')
texts['deberta_torch'] = by_sentencepiece(f'{path}/spm.model')
compare('deberta', texts['deberta_torch'], AutoTokenizer.from_pretrained(path))

# --- as bert-base-uncased: the form from before PyTorch 1.6, norms called gamma and beta, vocab.txt ----------------------------
path = folder('bert_torch')
letters = sorted(set(''.join(TRAINING).lower()) - set(' '))
words = collections.Counter(word for line in TRAINING for word in line.lower().split() if word.isalpha())
common = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:120] if len(word) > 1]
pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + letters + [f'##{c}' for c in letters if c.isascii() and c.isalnum()] + ['##er', '##ing', '##es', '##ion'] + common
with open(f'{path}/vocab.txt', 'w', encoding='utf8') as file:
    file.write(''.join(f'{piece}\n' for piece in pieces))
vocabulary = len(pieces)
torch.manual_seed(311)
state = reference(BertForSequenceClassification(BertConfig(vocab_size=vocabulary, num_labels=3, **small)), torch.float32, 312, tokens(313, vocabulary, 5, 0), three, path)
old = collections.OrderedDict((n.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'), p) for n, p in state.items())
old['bert.embeddings.position_ids'] = torch.arange(64).expand((1, -1))
name = 'bert.encoder.layer.1.intermediate.dense.weight'
old[name] = old[name].t().contiguous().t()
torch.save(old, f'{path}/pytorch_model.bin', _use_new_zipfile_serialization=False)
bert = BertTokenizer.from_pretrained(path)
texts['bert_torch'] = [dict(text=t, ids=bert.encode(t, add_special_tokens=False)) for t in TEXTS]

# --- as Llama 2 in shards: bfloat16, the tied head in both, tokenizer.model ----------------------------------------------------
path = folder('llama_torch')
train(f'{path}/tokenizer.model', vocab_size=460, character_coverage=0.98, model_type='bpe', normalization_rule_name='identity', byte_fallback=True, remove_extra_whitespaces=False,
      split_digits=True, allow_whitespace_only_pieces=True, hard_vocab_limit=False)
write(f'{path}/tokenizer_config.json', dict(add_bos_token=True, add_eos_token=False, bos_token='<s>', eos_token='</s>', unk_token='<unk>', legacy=False))
torch.manual_seed(321)
config = LlamaConfig(vocab_size=460, num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=False, dtype=torch.bfloat16, **small)
inputs = tokens(323, 460, 3, 0, 6)
labels = inputs['input_ids'].masked_fill(inputs['attention_mask'] == 0, -100)
state = reference(LlamaForCausalLM(config), torch.bfloat16, 322, inputs, labels, path)
halves = [list(state)[: len(state) // 2], list(state)[len(state) // 2 :]]
files = [f'pytorch_model-{i + 1:05}-of-00002.bin' for i in range(2)]
for names, file in zip(halves, files):
    torch.save({n: torch.nn.Parameter(state[n]) for n in names}, f'{path}/{file}', pickle_protocol=4)
write(f'{path}/pytorch_model.bin.index.json', dict(metadata=dict(total_size=sum(2 * p.numel() for p in state.values())),
                                                   weight_map={n: file for names, file in zip(halves, files) for n in names}))
texts['llama_torch'] = by_sentencepiece(f'{path}/tokenizer.model')
compare('llama', texts['llama_torch'], AutoTokenizer.from_pretrained(path))

# --- vocabularies alone -------------------------------------------------------------------------------------------------------
path = folder('vocabularies', 'roberta')
bpe = tokenizers.ByteLevelBPETokenizer()
bpe.train_from_iterator(TRAINING, vocab_size=320, min_frequency=2, special_tokens=['<s>', '<pad>', '</s>', '<unk>', '<mask>'], show_progress=False)
bpe.save_model(path)
roberta = RobertaTokenizer.from_pretrained(path)
texts['vocabularies/roberta'] = [dict(text=t, ids=roberta.encode(t, add_special_tokens=False)) for t in TEXTS]
path = folder('vocabularies', 'xlm-roberta')
train(f'{path}/sentencepiece.bpe.model', vocab_size=340, character_coverage=0.98, model_type='unigram', normalization_rule_name='identity', hard_vocab_limit=False, user_defined_symbols=['<sep>', '[x]'])
plain = by_sentencepiece(f'{path}/sentencepiece.bpe.model')
# fairseq's ids: <s> <pad> </s> <unk>, then the pieces from the third on.
texts['vocabularies/xlm-roberta'] = [dict(sample, ids=[3 if i == 0 else i + 1 for i in sample['ids']]) for sample in plain]

path = folder('vocabularies', 'albert')
train(f'{path}/spiece.model', [line.lower() for line in TRAINING], vocab_size=360, character_coverage=0.98, model_type='unigram', pad_id=0, unk_id=1, bos_id=-1, eos_id=-1,
      control_symbols=['[CLS]', '[SEP]', '[MASK]'], user_defined_symbols=['(', ')', '"', '-', '.', '–', '£', '€'], hard_vocab_limit=False)
texts['vocabularies/albert'] = by_albert(f'{path}/spiece.model')

pairs = dict(deberta_torch=AutoTokenizer.from_pretrained(os.path.join(OUT, 'deberta_torch')), bert_torch=bert, llama_torch=AutoTokenizer.from_pretrained(os.path.join(OUT, 'llama_torch')))
pairs['vocabularies/roberta'] = roberta
pairs['vocabularies/albert'] = AlbertTokenizer.from_pretrained(os.path.join(OUT, 'vocabularies', 'albert'))
write(os.path.join(OUT, 'vocabularies', 'texts.json'), dict(meta=META, texts=texts, pair=PAIR, pairs={
    name: dict(ids=t(*PAIR)['input_ids'], types=t(*PAIR).get('token_type_ids'), masked=t('the [MASK] rose')['input_ids'] if 'llama' not in name else None) for name, t in pairs.items()}))

# --- a LoRA adapter as PEFT saved them before 0.7 -------------------------------------------------------------------------------
from safetensors.torch import load_file
path = folder('llama_lora_adapter_torch')
shutil.copy(os.path.join(HERE, '..', 'llama_lora_adapter', 'adapter_config.json'), path)
torch.save(load_file(os.path.join(HERE, '..', 'llama_lora_adapter', 'adapter_model.safetensors')), f'{path}/adapter_model.bin')

# --- single files ----------------------------------------------------------------------------------------------------------------
path = folder('torch')
generator = seeded(331)
plain = torch.randn(3, 4, generator=generator)
every = {
    'f64': plain.double(), 'f32': plain, 'f16': plain.half(), 'bf16': plain.bfloat16(), 'transposed': plain.t(), 'row': plain[1], 'every_second': plain[:, ::2], 'scalar': torch.tensor(3.0),
    'empty': torch.empty(0, 4), 'one_row': plain[:1].expand(1, 4), 'parameter': torch.nn.Parameter(plain + 1), 'cube': torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
    'i64': torch.arange(-2, 3), 'i32': torch.arange(3, dtype=torch.int32), 'i16': torch.arange(3, dtype=torch.int16), 'i8': torch.arange(3, dtype=torch.int8), 'u8': torch.arange(3, dtype=torch.uint8),
    'bool': torch.tensor([True, False]),
}
expected = {name: dict(dtype=str(t.dtype).removeprefix('torch.'), shape=list(t.shape), data=t.detach().double().flatten().tolist()) for name, t in every.items()}
write(f'{path}/every.json', expected)
mixed = dict(every, step=3, rate=1e-5, name='no tensor', sizes=(1, 2), none=None)
torch.save(mixed, f'{path}/every.bin')
torch.save(mixed, f'{path}/every-protocol-5.bin', pickle_protocol=5)
torch.save(mixed, f'{path}/every-old.bin', _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 3, dtype=torch.float32).state_dict(), f'{path}/linear.bin')
torch.save({'f8': plain.to(torch.float8_e4m3fn), 'u16': torch.arange(3).to(torch.uint16), 'w': plain}, f'{path}/untyped.bin')


class Command:
    def __reduce__(self):
        return os.system, ('touch executed-by-rowtune',)


torch.save({'w': plain, 'x': Command()}, f'{path}/os-system.bin')
torch.save({'w': plain, 'x': Command()}, f'{path}/os-system-old.bin', _use_new_zipfile_serialization=False)
torch.save({'w': plain, 'x': eval}, f'{path}/eval.bin')
torch.save(torch.nn.Linear(2, 3), f'{path}/module.bin')
torch.save({'model': {'w': plain}, 'optimizer': {}}, f'{path}/checkpoint.bin')
torch.save({'w': plain[:1].expand(1000, 4)}, f'{path}/repeated.bin')
torch.save([plain], f'{path}/list.bin')
print(sum(os.path.getsize(os.path.join(d, f)) for name in ('torch', 'vocabularies', 'deberta_torch', 'bert_torch', 'llama_torch') for d, _, fs in os.walk(os.path.join(OUT, name)) for f in fs))
