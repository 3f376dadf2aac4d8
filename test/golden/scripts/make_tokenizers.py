"""Small tokenizers of every kind, and the results of Hugging Face's `tokenizers` for 1,000 hard strings with each.

Run: python make_tokenizers.py ../tokenizers [NAME=tokenizer.json …]      (tokenizers 0.23.3)
Writes strings.json.gz, one KIND.json.gz for each kind, and components.json.gz: single normalizers, pre-tokenizers and decoders.
A tokenizer named on the command line (minilm, smollm2: of the real models, the second as Rowtune makes it from the GGUF file) gives
NAME.json.gz with only the expectations. The vocabularies are trained here on the strings and on the license texts of the Python installation.
"""

import base64
import gzip
import json
import random
import sys
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(sys.argv[1])
RANDOM = random.Random(13)
WHITE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff\u180e"
SPECIALS = ["<s>", "</s>", "<unk>", "<pad>", "<mask>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<|im_start|>", "<|im_end|>",
            "<|endoftext|>", "<tool>", "</tool>", "<Left>", "<Right>", "<Both>", "<Word>", "<Norm>", "NORM", "é1", "ab", "abc", "bc"]


def by_category():
    found = {}
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        found.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    return found


def strings():
    out = ["", " ", "  ", "a", " a", "a ", " a ", "  a  b  ", "\n", "\n\n", "a\n", "\ta", "a𠮷b", "𠮷", "a\U0002b738b\U0002b740c\U0002b81fd\U0002b820e\U0002b91ff\U0002b920g\U0002cea1h\U0002ceb0",
           "½", "Ⅷ", "1½2Ⅷ3", "٣٤٥", "१२३", "1234567890", "12 345", "a1b22c333", "x²", "①②③", "߁߂", "〇一二", "b ?? c", "b ! c , d . e ' f n't g 'm h 's i 've j 're k do not", "do not", "I'M YOU'RE WE'LL THEY'VE HE'D IT'S DON'T",
           "i'm you're we'll they've he'd it's don't", "'ſ 'K", "I'ſ", "it's", "IT'S", "’s", "'S'T'RE", "' s", "''s", "İstanbul ıI", "ΑΣ Σ ΣΑΣ", "ẞß", "ﬁﬂﬀ", "Å Å Å", "é e\u0301 ê̂", "q\u0307\u0323 q\u0323\u0307",
           "한국어 한국어", "각", "ﾊﾝｶｸ ハンカク", "Ｆｕｌｌ　ｗｉｄｔｈ", "㍿ ㌀ ㎏", "ﷺ", "ا ل ع", "שָׁלוֹם", "مرحبا بالعالم ١٢٣", "\u202eabc\u202c", "ภาษาไทย", "हिन्दी क्षि", "தமிழ்", "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 🏳️‍🌈 1️⃣", "❤️ ❤", "e\u0301\u0301\u0301" * 5,
           "a" * 99, "a" * 100, "a" * 101, "ab" * 150, "𠮷" * 101, "word" * 300, "-" * 70, "=" * 33 + "\n" + "=" * 5, "a.b,c;d:e!f?g", "¿¡«»“”‘’…—–·", "$+<=>^`|~", "€£¥₿", "`code` ~x~ ^y^ |z|", "C:\\path\\to\\file", "https://example.com/a?b=c&d=e#f", "user@example.com",
           "def f(x):\n    return x  # two\n\n\n\tif y:\n\t\tpass\n", "{\"a\": [1, 2.5, null, true]}", "<0x41><0x0A>", "<0xE2><0x82><0xAC>", "▁", "▁a▁b", " ▁ a", "Ġ Ċ ĉ", "a\u00adb", "a\u200bb\u200cc\u200dd\u2060e\ufefff", "\ufeffBOM", "a\x85b\x85\x85 c", "\x00a\x01b\x7fc\x80d", "\ufffd\ufffe\uffff", "\ue000\U000f0000\U0010ffff",
           "\r\n\r\n", "a\r\nb\rc\n\rd", "  \n  a", "a  \n", "a \n b", "\u2028a\u2029b", "##a ##", "a##b", "Hello, world! How's it going?", "The quick brown fox jumps over the lazy dog.", "Ångström naïve façade", "Привет, мир", "Ελληνικά", "日本語のテキスト", "中文文本，标点。", "漢字かなカナ", "ⅠⅡⅢ ⅳ", "ªº", "ǅ ǈ", "ʰʲ", "ﬅ ﬆ", "ŉ", "ΐ", "K Å Ω"]
    for a in WHITE:
        out += [a, f"a{a}b", f"{a}a", f"a{a}", f"a{a}{a} b", f"1{a}.{a}!"]
    for token in SPECIALS:
        out += [token, f"a{token}b", f" {token} ", f"a {token} b", f"{token}{token}", f"x{token} y  {token}\u00a0z", f"\n{token}\t", token.upper(), f"{token.lower()}1", f"_{token}_", f".{token},"]
    for category, chars in sorted(by_category().items()):
        if category == "Cn":
            continue
        for _ in range(6):
            pick = [RANDOM.choice(chars) for _ in range(6)]
            out += ["".join(pick), "a" + "b".join(pick) + "1", " ".join(pick) + " ."]
    everything = [c for k, v in sorted(by_category().items()) if k not in ("Cn", "Co", "Lo") for c in v]
    words = "the of and to in is that it for on are as with was be by not or this have from at which one you were all her she there would their we him been has when who will no more if out so what up".split()
    out = list(dict.fromkeys(out))
    while len(out) < 1000:
        kind = len(out) % 4
        if kind == 0:
            out.append("".join(RANDOM.choice(everything) for _ in range(RANDOM.randint(1, 12))))
        elif kind == 1:
            out.append("".join(RANDOM.choice(WHITE + "ab1.,'") for _ in range(RANDOM.randint(1, 14))))
        elif kind == 2:
            out.append("".join(RANDOM.choice(words + SPECIALS + list(WHITE) + [" ", " ", " "]) for _ in range(RANDOM.randint(2, 10))))
        else:
            out.append(" ".join(RANDOM.choice([str.upper, str.title, str])(RANDOM.choice(words)) + RANDOM.choice(["", ",", "'s", "1", "."]) for _ in range(8)))
    seen = list(dict.fromkeys(out))
    # No unpaired surrogates, which Rust would not accept; decoding must not depend on them either.
    assert all("\ud800" > c or c > "\udfff" for s in seen for c in s)
    return seen


def corpus():
    import os
    prefix = Path(os.__file__).parent
    texts = []
    for name in ["LICENSE.txt", "this.py", "typing.py", "argparse.py"]:
        path = prefix / name
        if path.exists():
            texts += path.read_text().splitlines(keepends=True)[:1500]
    return texts + ["naïve café 日本語 中文 Привет мир ½ ١٢٣ 👍🏽 한국어 हिन्दी ἀρχή שלום مرحبا"] * 5


TEXTS = strings()
CORPUS = corpus() + TEXTS
CHARSMAP = None


def charsmap():
    """Returns the map nmt_nfkc of a SentencePiece model among the fixtures."""
    data = (OUT.parent / "deberta_torch" / "spm.model").read_bytes()
    position, found = 0, None
    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at
    while position < len(data):
        key, position = varint(position)
        if key & 7 != 2:
            _, position = varint(position)
            continue
        size, position = varint(position)
        if key >> 3 == 3:
            end, at = position + size, position
            while at < end:
                inner, at = varint(at)
                if inner & 7 == 2:
                    length, at = varint(at)
                    if inner >> 3 == 2:
                        found = data[at:at + length]
                    at += length
                elif inner & 7 == 5:
                    at += 4
                else:
                    _, at = varint(at)
        position += size
    return found


def added(names, **flags):
    return [AddedToken(n, **flags) for n in names]


ODD = [AddedToken("<Left>", lstrip=True, special=False), AddedToken("<Right>", rstrip=True, special=False), AddedToken("<Both>", lstrip=True, rstrip=True, special=True),
       AddedToken("<Word>", single_word=True, special=False), AddedToken("<Norm>", normalized=True, special=False), AddedToken("NORM", normalized=True, single_word=True, special=False),
       AddedToken("é1", normalized=True, special=False), AddedToken("<tool>", normalized=False, special=False), AddedToken("ab", normalized=False, single_word=True), AddedToken("abc", normalized=False, single_word=True)]


def train(tokenizer, trainer, texts=CORPUS):
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wordpiece(lowercase, strip_accents=None, chinese=True, clean=True):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=chinese, strip_accents=strip_accents, lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    train(t, trainers.WordPieceTrainer(vocab_size=900, limit_alphabet=350, show_progress=False, special_tokens=added(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], special=True)))
    ids = {x: t.token_to_id(x) for x in ["[CLS]", "[SEP]"]}
    t.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=list(ids.items()))
    return t


def byte_level(steps, normalizer=None, prefix=False, regex=True, specials=("<|endoftext|>",), ignore_merges=False, size=800, bos=None):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)]) if steps else pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    train(t, trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=added(specials, special=True)))
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, t.token_to_id(bos))])])
    return t


def sentencepiece_bpe(style):
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    train(t, trainers.BpeTrainer(vocab_size=1100, limit_alphabet=150, show_progress=False, special_tokens=added(["<unk>", "<s>", "</s>"], special=True) + added(bytes_, special=False)))
    document = json.loads(t.to_str())
    document["added_tokens"] = [x for x in document["added_tokens"] if not x["content"].startswith("<0x")]
    t = Tokenizer.from_str(json.dumps(document))
    strip = [decoders.Strip(content=" ", left=1, right=0)]
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *(strip if style != "gemma" else [])])
    if style == "legacy":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        t.pre_tokenizer = None
    elif style == "gemma":
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        t.normalizer = None
        t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return t


def unigram(style):
    t = Tokenizer(models.Unigram())
    mapped = normalizers.Precompiled(CHARSMAP)
    t.normalizer = normalizers.Sequence([normalizers.Strip(), mapped, normalizers.Replace(Regex(" {2,}"), " ")]) if style == "deberta" else mapped if style == "xlmr" else normalizers.Sequence([mapped, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    if style == "albert":
        t.normalizer = normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), mapped])
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if style in ("xlmr", "albert") else pre_tokenizers.Sequence([metaspace]) if style == "deberta" else metaspace
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    specials = {"albert": ["<pad>", "<unk>", "[CLS]", "[SEP]"], "deberta": ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], "xlmr": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "t5": ["<pad>", "</s>", "<unk>"]}[style]
    unk = "[UNK]" if style == "deberta" else "<unk>"
    train(t, trainers.UnigramTrainer(vocab_size=900, show_progress=False, special_tokens=added(specials, special=True), unk_token=unk), [t for t in CORPUS[:-len(TEXTS)] + TEXTS[:110] if len(t) < 90])
    if style == "t5":
        document = json.loads(t.to_str())
        document["model"]["byte_fallback"] = True
        document["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        t = Tokenizer.from_str(json.dumps(document))
        t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always")])
    pieces = {x: t.token_to_id(x) for x in specials}
    if style == "albert":
        t.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True)])
    if style in ("deberta", "albert"):
        t.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", pieces["[CLS]"]), ("[SEP]", pieces["[SEP]"])])
    elif style == "xlmr":
        t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", pieces["<s>"]), ("</s>", pieces["</s>"])])
    else:
        t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", pieces["</s>"])])
    return t


CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = "|".join([r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def kinds():
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    roberta = byte_level([], specials=("<s>", "<pad>", "</s>", "<unk>"), prefix=True)
    roberta.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    roberta.post_processor = processors.RobertaProcessing(("</s>", roberta.token_to_id("</s>")), ("<s>", roberta.token_to_id("<s>")), True, True)
    odd = byte_level([], normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), specials=("<s>", "</s>"))
    odd.add_tokens(ODD)
    odd_bert = wordpiece(True)
    odd_bert.add_tokens(ODD)
    odd_llama = sentencepiece_bpe("first")
    odd_llama.add_tokens(ODD)
    level = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    level.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    train(level, trainers.WordLevelTrainer(vocab_size=600, show_progress=False, special_tokens=["[UNK]", "[PAD]"]))
    return {
        "bert-uncased": wordpiece(True), "bert-cased": wordpiece(False), "bert-accents": wordpiece(True, strip_accents=False, chinese=False), "bert-stripped": wordpiece(False, strip_accents=True, clean=False),
        "bert-added": odd_bert,
        "gpt2": byte_level([], specials=("<|endoftext|>",)), "roberta": roberta,
        "llama3": byte_level([split(LLAMA3)], regex=False, specials=["<s>", *chat], ignore_merges=True, bos="<s>"),
        "qwen2": byte_level([split(QWEN2)], normalizer=normalizers.NFC(), regex=False, specials=chat),
        "smollm2": byte_level([pre_tokenizers.Digits(individual_digits=True)], specials=chat),
        "cl100k": byte_level([split(CL100K, "removed", True)], regex=False, specials=chat),
        "o200k": byte_level([split(O200K)], regex=False, specials=chat),
        "deepseek": byte_level([split(p) for p in DEEPSEEK], regex=False, specials=chat),
        "falcon": byte_level([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(individual_digits=False), split("[0-9][0-9][0-9]")], specials=chat),
        "byte-added": odd,
        "llama2-legacy": sentencepiece_bpe("legacy"), "llama2": sentencepiece_bpe("first"), "gemma": sentencepiece_bpe("gemma"), "llama2-added": odd_llama,
        "deberta-v3": unigram("deberta"), "xlm-roberta": unigram("xlmr"), "t5": unigram("t5"), "albert": unigram("albert"),
        "word-level": level,
    }


def expectation(tokenizer):
    rows = []
    for text in TEXTS:
        whole = tokenizer.encode(text).ids
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        kept, skipped = (tokenizer.decode(whole, skip_special_tokens=flag) for flag in (False, True))
        # 0 stands for the text itself, to keep the file small.
        rows.append([plain, 0 if kept == text else kept, 0 if skipped == text else skipped])
    sample = RANDOM.sample(TEXTS, 40)
    size = tokenizer.get_vocab_size()
    random_ids = [[RANDOM.randrange(size + 5) for _ in range(RANDOM.randint(1, 25))] for _ in range(200)]
    return {
        "texts": rows,
        "whole": [[i, tokenizer.encode(TEXTS[i]).ids] for i in range(0, len(TEXTS), 37)],
        "pairs": [[a, b, (e := tokenizer.encode(a, b)).ids, e.type_ids] for a, b in zip(sample[::2], sample[1::2]) if a and b],
        "decoded": [[ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)] for ids in random_ids],
    }


def write(name, value):
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    (OUT / f"{name}.json.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    print(name, len(data), (OUT / f"{name}.json.gz").stat().st_size)


def components():
    every = "".join(chr(c) for c in range(0x32400) if not 0xD800 <= c < 0xE000)
    short = [t for i, t in enumerate(TEXTS) if i < 110 or i % 6 == 0]
    norms = [{"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Nmt"}, {"type": "Lowercase"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": True, "strip_right": False}, {"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Prepend", "prepend": "▁"},
             {"type": "Replace", "pattern": {"String": "a"}, "content": "b$1"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Replace", "pattern": {"Regex": r"[\n\r\t]|\s{2,}"}, "content": "_"}, {"type": "Replace", "pattern": {"Regex": r"^a|b$"}, "content": "!"}, {"type": "Replace", "pattern": {"Regex": r"\A +|[ ▁]+\z"}, "content": ""},
             {"type": "Replace", "pattern": {"Regex": r"\w"}, "content": "w"}, {"type": "Replace", "pattern": {"Regex": r"\d+"}, "content": "9"}, {"type": "Replace", "pattern": {"Regex": r"\bw?"}, "content": "|"}, {"type": "Replace", "pattern": {"Regex": r"(?i)TH|é"}, "content": "t"}, {"type": "Replace", "pattern": {"Regex": r"[[:punct:]]"}, "content": "."}, {"type": "Replace", "pattern": {"Regex": r"[a-z&&[^aeiou]]|."}, "content": "c"}, {"type": "ByteLevel"},
             {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False}]
    pres = [{"type": "BertPreTokenizer"}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False}, {"type": "CharDelimiterSplit", "delimiter": "."}, {"type": "FixedLength", "length": 3}]
    pres += [{"type": "Punctuation", "behavior": b} for b in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]]
    pres += [{"type": "Split", "pattern": p, "behavior": b, "invert": i} for p in [{"String": " "}, {"Regex": r"\s+|[a-m]"}, {"Regex": r"\p{Lu}\p{Ll}*|\p{N}"}] for b in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"] for i in [False, True]]
    pres += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": x} for s in ["always", "first", "never"] for x in [False, True]]
    pres += [{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]
    pres += [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in [LLAMA3, CL100K, O200K, *DEEPSEEK, r"(?>a+)b|\h+|\R", r"(?i)sx|k|σ", r"[^\W\d_]+|\S", r"\p{Han}+|\p{Greek}|\p{^L}", r"[\p{Han}&&[^一]]|[^\s\p{Han}a-c]+", r"(?<=a)b|(?<!a)c|x*?y|z{2}"]]
    chains = [{"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}, {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "ByteFallback"}, {"type": "Fuse"},
              {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}, {"type": "Replace", "pattern": {"Regex": "a|b"}, "content": "$0"}, {"type": "Strip", "content": "a", "start": 2, "stop": 0}, {"type": "Strip", "content": "a", "start": 0, "stop": 2}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]
    lists = [["a", "##b", "c", ".", "##", "do", "not", "n't", "'", "s"], ["▁▁a", "▁b", "c▁"], ["<0xE2>", "<0x82>", "<0xAC>", "x", "<0xE2>", "<0x82>", "<0xzz>"], ["<0xFF>", "<0xFE>"], ["ab</w>", "c", "d</w>"], ["aaab", "baaa", "bb"], ["Ġa", "âĤ", "¬", "日", "Ċ", "ï»¿"], ["▁", "▁"], [" do not", "do", "not"], ["ð", "Ł", "ĺ", "x"], ["▁<0x20>", "  a  "]]
    empty = lambda **parts: Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": {"type": "WordLevel", "vocab": {"x": 0}, "unk_token": "x"}, **parts}))
    # Character by character over all of Unicode, because a checksum would not say where it differs.
    singles = {}
    for spec in norms:
        n = empty(normalizer=spec).normalizer
        singles[json.dumps(spec)] = [n.normalize_str(t) for t in short]
    def splits(spec, text):
        return [piece for piece, _ in empty(pre_tokenizer=spec).pre_tokenizer.pre_tokenize_str(text)]
    return {
        "texts": short,
        "normalizers": [[json.loads(k), v] for k, v in singles.items()],
        "pre_tokenizers": [[spec, [splits(spec, t) for t in short]] for spec in pres],
        "decoders": [[spec, [[l, empty(decoder=spec).decoder.decode(l)] for l in lists if spec.get("stop") != 2 or min(map(len, l)) > 1]] for spec in chains],
        "classes": classes(every),
    }


def classes(every):
    """Returns every character that a component assigns to its class, as ranges; this Python may know fewer characters than the libraries."""
    def ranges(chars):
        out = []
        for c in map(ord, chars):
            if out and out[-1][1] == c - 1:
                out[-1][1] = c
            else:
                out.append([c, c])
        return out
    bert = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    chinese = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    strip = normalizers.Strip()
    # Neighbors of another class on both sides show whether a character is split off.
    apart = lambda pre, c: len(pre.pre_tokenize_str(f"a{c}a")) > 1 or len(pre.pre_tokenize_str(f"a{c}a")[0][0]) < 3
    accents = normalizers.StripAccents()
    result = {
        "bert_removed": ranges(c for c in every if bert.normalize_str(f"a{c}a") == "aa"),
        "bert_space": ranges(c for c in every if c != " " and bert.normalize_str(f"a{c}a") == "a a"),
        "chinese": ranges(c for c in every if chinese.normalize_str(f"a{c}a") != f"a{c}a"),
        "white_space": ranges(c for c in every if strip.normalize_str(c) == ""),
        "bert_punctuation": ranges(c for c in every if not strip.normalize_str(c) == "" and apart(pre_tokenizers.BertPreTokenizer(), c)),
        "punctuation": ranges(c for c in every if apart(pre_tokenizers.Punctuation(), c)),
        "digits": ranges(c for c in every if apart(pre_tokenizers.Digits(individual_digits=True), c)),
        "word": ranges(c for c in every if not strip.normalize_str(c) == "" and not apart(pre_tokenizers.Whitespace(), c)),
        "accents": ranges(c for c in every if accents.normalize_str(f"a{c}a") == "aa"),
    }
    nonspacing = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    result["bert_accents"] = ranges(c for c in every if nonspacing.normalize_str(f"a{c}a") == "aa")
    for name, n in [("lowercase", normalizers.Lowercase()), ("nfd", normalizers.NFD()), ("nfc", normalizers.NFC()), ("nfkd", normalizers.NFKD()), ("nfkc", normalizers.NFKC())]:
        result[name] = ranges(c for c in every if n.normalize_str(c) != c)
    for name, pattern in [("onig_L", r"\p{L}"), ("onig_N", r"\p{N}"), ("onig_s", r"\s"), ("onig_w", r"\w"), ("onig_d", r"\d"), ("onig_P", r"\p{P}"), ("onig_S", r"\p{S}"), ("onig_M", r"\p{M}"), ("onig_Lu", r"\p{Lu}"), ("onig_punct", "[[:punct:]]"), ("onig_word_class", r"[\w]"), ("onig_alnum", "[[:alnum:]]")]:
        n = normalizers.Replace(Regex(pattern), "")
        result[name] = ranges(c for c in every if n.normalize_str(c) == "")
    return result


if __name__ == "__main__":
    CHARSMAP = charsmap()
    OUT.mkdir(exist_ok=True)
    write("strings", TEXTS)
    shared = base64.b64encode(CHARSMAP).decode()
    write("charsmap", shared)
    for name, tokenizer in kinds().items():
        text = tokenizer.to_str().replace(shared, "CHARSMAP")
        write(name, {"tokenizer": json.loads(text), **expectation(tokenizer)})
    write("components", components())
    for argument in sys.argv[2:]:
        name, path = argument.split("=", 1)
        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        write(f"real-{name}", expectation(tokenizer))
