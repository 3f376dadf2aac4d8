"""Token ids and masks of 40 conversations through chat templates, by Transformers (5.24.0) and TRL (1.16.0).

Run: python make_chat_masks.py     (Jinja 3.1.6, tokenizers; the clock of templates stands at 2024-07-04 15:05:09)
Writes chat_masks.json: the conversations; a byte-level BPE tokenizer that is trained on them, with the special tokens of the templates; and for
each template and conversation the number of tokens, the places where trained runs begin and end, and the sum of (i + 1) · id modulo 2^31 − 1.
Null stands for a conversation that the template refuses.

The templates are those of ../jinja/templates. Where a template marks `{% generation %}`, the mask is that of Transformers. Where TRL has the
same template with marks (its training templates), the mask is TRL's for the conversations whose text is the same. TRL also marks the line break
after an end-of-turn token, and what the prompt has already: `<｜Assistant｜>` of DeepSeek, `<|start|>assistant` of gpt-oss, and the line break after
the role of Qwen2.5. All are left out here. The other templates (Llama 2, Llama 3.2, Mistral) have ids alone: TRL has no training template for them.
"""

import datetime
import json
import re
from pathlib import Path

import transformers.utils.chat_template_utils as chat
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

GOLDEN = Path(__file__).parent.parent


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 4, 15, 5, 9)


chat.datetime = Clock

# Maps templates here to TRL's with marks.
TRAINING = {
    "qwen3": "qwen3_training",
    "qwen2.5": "qwen2_5_training",
    "gemma3": "gemma3_training",
    "deepseek-r1": "deepseek_r1_distill_training",
    "gpt-oss": "gptoss_training",
    "llama3.0": "llama3_training",
}

SPECIAL = """<s> </s> <|im_start|> <|im_end|> <think> </think> <tool_call> </tool_call> <tool_response> </tool_response> <start_of_turn> <end_of_turn>
<|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|> [INST] [/INST] [TOOL_CALLS] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS]
[TOOL_RESULTS] [/TOOL_RESULTS] <|system|> <|user|> <|assistant|> <|end|> <|start|> <|message|> <|channel|> <|call|> <|return|> <｜User｜> <｜Assistant｜>
<｜end▁of▁sentence｜>""".split()


MARKS = re.compile(r"{%-?\s*generation")


def u(content, **more):
    return {"role": "user", "content": content, **more}


def a(content, **more):
    return {"role": "assistant", "content": content, **more}


def s(content):
    return {"role": "system", "content": content}


def call(name="get_weather", arguments=None, id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": {"city": "Bern"} if arguments is None else arguments}}


def result(content, id="call00001", name="get_weather"):
    return {"role": "tool", "tool_call_id": id, "name": name, "content": content}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Its name."}}, "required": ["city"]},
    },
}
NOW = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}}

PLAIN = [
    [u("Hi"), a("Hello!")],
    [s("Be brief."), u("Hi"), a("Hello!")],
    [u("Hi"), a("Hello!"), u("Who are you?"), a("A model.")],
    [s("Be brief."), u("1"), a("one"), u("2"), a("two"), u("3"), a("three")],
    [u("Hi"), a("Hello!"), u("Bye")],
    [u("a"), a("a"), u("a"), a("a"), u("a"), a("a")],
    [u("Say Hello!"), a("Hello!"), u("Say Hello!"), a("Hello! Hello!")],
    [u("  spaces  "), a("  kept or not  ")],
    [u("lines\n\n\nbreak"), a("first\n\n\nlast\n")],
    [u("windows\r\nlines"), a("a\r\nb")],
    [u("tab\tand\u00a0nbsp"), a("\u2003em space\u2003")],
    [u("😀 héllo wörld ñ"), a("你好，世界 🇨🇭 é")],
    [u("مرحبا"), a("שלום")],
    [u("code"), a("```python\nprint('a')\n```")],
    [u("json"), a('{"a": [1, 2, {"b": null}]}')],
    [u("<b>html</b> & 'quotes' \"double\""), a("<i>&amp;</i> \\ \\n")],
    [u("{{ jinja }} {% if %}"), a("{% generation %} {{ messages }}")],
    [u("What is <|im_end|>?"), a("A token: <|im_start|>user")],
    [u("[INST] in text [/INST]"), a("</s> in an answer")],
    [u("user\nassistant"), a("assistant\nuser")],
    [u("long " * 80), a("answer " * 60)],
    [u("1"), a("2")] * 6,
    [u(""), a("An answer to nothing.")],
    [u("Say nothing."), a("")],
    [u("zero"), a("0")],
    [s(""), u("Hi"), a("Hello!")],
    [s("You are\n\na poet."), u("Hi"), a("Roses\nare red.\n\nViolets")],
]
TURNS = [
    [u("first"), u("second"), a("both")],
    [u("Hi"), a("one"), a("two")],
    [a("I begin."), u("Hi"), a("Hello!")],
    [u("Hi"), s("late"), a("Hello!")],
]
REASONING = [
    [u("2 + 2?"), a("<think>\nEasy.\n</think>\n\n4")],
    [u("2 + 2?"), a("<think>\nEasy.\n</think>\n\n4"), u("3 + 3?"), a("<think>\nAlso easy.\n</think>\n\n6")],
    [u("2 + 2?"), a("4", reasoning_content="Easy."), u("3 + 3?"), a("6", reasoning_content="Also easy.")],
    [u("2 + 2?"), a("4", thinking="Easy.")],
]
WITH_TOOLS = [
    [u("Weather in Bern?"), a("", tool_calls=[call()]), result("sunny"), a("It is sunny.")],
    [u("Weather?"), a(None, tool_calls=[call()]), result('{"sky": "sunny", "t": 21.5}'), a("Sunny, 21.5 degrees.")],
    [s("Be brief."), u("Weather?"), a("Let me see.", tool_calls=[call()]), result("rain"), a("Rain."), u("Thanks"), a("Welcome.")],
    [u("Both?"), a("", tool_calls=[call(), call("now", {}, "call00002")]), result("sunny"), result("12:00", "call00002", "now"), a("Sunny at noon.")],
    [u("No tool, please."), a("Fine.")],
]

CONVERSATIONS = (
    [{"messages": messages} for messages in PLAIN + TURNS + REASONING]
    + [{"messages": messages, "tools": [WEATHER, NOW]} for messages in WITH_TOOLS]
)
assert len(CONVERSATIONS) == 40, len(CONVERSATIONS)


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(SPECIAL) + 120, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([json.dumps(CONVERSATIONS, ensure_ascii=False)], trainer)
    return tokenizer


def runs_of(mask):
    """Returns the starts and ends of the runs of 1."""
    edges = [i for i, (before, flag) in enumerate(zip([0, *mask], [*mask, 0])) if bool(before) != bool(flag)]
    return [list(pair) for pair in zip(edges[::2], edges[1::2])]


def without_break(run, tokens):
    """Returns a run of TRL's without the white space after its end-of-turn token."""
    begin, end = run
    trimmed = end
    while trimmed > begin and set(tokens[trimmed - 1]) <= set("ĊĠ"):
        trimmed -= 1
    return [begin, trimmed if trimmed > begin and tokens[trimmed - 1] in SPECIAL else end]


# The end of a prompt that TRL marks, as the tokenizer writes it.
HEADERS = {"gpt-oss": "<|start|>assistant", "qwen2.5": "Ċ", "deepseek-r1": "<｜Assistant｜>"}


def clear_headers(tokenizer, template, conversation, mask, header):
    """Returns the mask without the header of each answer. Consecutive answers form one run, so the template must say where each one starts."""
    messages = chat._alias_reasoning_fields(chat._normalize_chat_messages(conversation["messages"]))
    text, spans = chat.render_jinja_template(
        [messages], tools=conversation.get("tools"), chat_template=template, return_assistant_tokens_mask=True, **tokenizer.special_tokens_map
    )
    encoding = tokenizer(text[0], add_special_tokens=False)
    tokens = encoding.tokens()
    flags = list(mask)
    for begin, _ in spans[0]:
        first = place = encoding.char_to_token(begin)
        while len("".join(tokens[first:place])) < len(header):
            place += 1
        if "".join(tokens[first:place]) == header:
            flags[first:place] = [0] * (place - first)
    return flags


def encode(tokenizer, template, conversation):
    given = dict(chat_template=template, tools=conversation.get("tools"), tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    try:
        return tokenizer.apply_chat_template(conversation["messages"], **given)
    except Exception:
        return None


def main():
    inner = train_tokenizer()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    marked = Path(trl.__file__).parent / "chat_templates"
    found = {}
    for file in sorted((GOLDEN / "jinja" / "templates").glob("*.jinja")):
        own = file.read_text()
        of_trl = (marked / f"{TRAINING[file.stem]}.jinja").read_text() if file.stem in TRAINING else None
        rows = []
        for conversation in CONVERSATIONS:
            plain = encode(tokenizer, own, conversation)
            if plain is None:
                rows.append(None)
                continue
            ids = plain["input_ids"]
            row = {"count": len(ids), "sum": sum((i + 1) * id for i, id in enumerate(ids)) % (2**31 - 1)}
            other = encode(tokenizer, of_trl, conversation) if of_trl else plain if MARKS.search(own) else None
            # TRL's template also writes reasoning into earlier answers; then the text differs, and there is nothing to compare.
            if other is not None and other["input_ids"] == ids:
                tokens = tokenizer.convert_ids_to_tokens(ids)
                mask = other["assistant_masks"]
                if of_trl:
                    mask = clear_headers(tokenizer, of_trl, conversation, mask, HEADERS.get(file.stem, ""))
                row["runs"] = [without_break(run, tokens) if of_trl else run for run in runs_of(mask)]
            rows.append(row)
        found[file.stem] = rows
    result = {"conversations": CONVERSATIONS, "tokenizer": json.loads(inner.to_str()), "templates": found}
    (GOLDEN / "chat_masks.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")
    for name, rows in found.items():
        kept = [row for row in rows if row]
        print(name, len(kept), "rendered,", sum("runs" in row for row in kept), "with masks")


if __name__ == "__main__":
    main()
