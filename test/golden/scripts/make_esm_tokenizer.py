"""Vocabularies of ESM-2, and of a model of DNA whose tokens are three letters, with the ids of texts by Transformers.
Writes ../vocabularies/esm2, ../vocabularies/dna and ../vocabularies/esm.json.
run: python make_esm_tokenizer.py [folder]"""
import itertools, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import transformers
from transformers import EsmTokenizer
from transformers.models.esm.configuration_esm import get_default_vocab_list

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
DNA = ['<unk>', '<pad>', '<mask>', '<cls>', '<eos>', '<bos>', *map(''.join, itertools.product('ATCG', repeat=3)), 'A', 'T', 'C', 'G', 'N']
# The texts do not end with an end token.
WITHOUT_END = dict(eos_token=None, cls_token='<cls>', pad_token='<pad>', mask_token='<mask>', unk_token='<unk>')
TEXTS = dict(
    esm2=['MKTAYIAKQRQISFVKSHFSRQ', 'M K T A Y', 'mkta', 'MKxxTA', 'MK tA yy Y', 'MK<mask>TA', 'MK <mask> TA', ' M<mask>K ', 'A.-B', '', ' ', '\n', 'M\tK\nT', 'MKT*A1', '<cls>MK<eos>', '<null_1>X', '<null_1',
          'BUZOX', 'é', 'MKéTA', 'M\u00a0K', '日本', 'M日K', 'A' * 40],
    dna=['ATTCTGA', 'ATTCTGNACG', 'NNN', 'attc', 'ATT CTG', 'AT<mask>CTG', 'ATTxCTG', 'A', 'AC', '', 'ACGTACGTAC', 'RYK'])
PAIR = dict(esm2=['MKTA', 'YIA'], dna=['ATTCT', 'GA'])


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf8') as file:
        file.write(text)


golden = dict(meta=dict(transformers=transformers.__version__), texts={}, whole={}, pairs={})
for name, vocabulary, settings in (('esm2', get_default_vocab_list(), {}), ('dna', DNA, WITHOUT_END)):
    folder = os.path.join(OUT, 'vocabularies', name)
    write(f'{folder}/vocab.txt', '\n'.join(vocabulary))
    write(f'{folder}/tokenizer_config.json', json.dumps(dict(tokenizer_class='EsmTokenizer', **settings)))
    tokenizer = EsmTokenizer.from_pretrained(folder)
    golden['texts'][name] = [dict(text=text, ids=tokenizer.encode(text, add_special_tokens=False)) for text in TEXTS[name]]
    golden['whole'][name] = tokenizer.encode(TEXTS[name][0])
    if name == 'esm2':
        golden['pairs'][name] = dict(texts=PAIR[name], ids=tokenizer(*PAIR[name])['input_ids'])
write(os.path.join(OUT, 'vocabularies', 'esm.json'), json.dumps(golden, ensure_ascii=False, separators=(',', ':')))
