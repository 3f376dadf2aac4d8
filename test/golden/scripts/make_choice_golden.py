"""Reference answers of lm-evaluation-harness (0.4.13) to a few made-up questions of each benchmark, by the tiny Llama of this folder.

    python make_choice_golden.py FOLDER   # a copy of ../llama with the files of ../tiny-tokenizer in it

Writes ../choice/<task>.jsonl (the questions) and ../choice/golden.json (log-likelihood of every choice, acc, acc_norm).
Every prompt comes from the harness's own task files; only the data is local.
"""
import json, os, sys, tempfile
import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

FOLDER = sys.argv[1]
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "choice")
os.makedirs(OUT, exist_ok=True)

arc = [
    {"question": "What do plants take from the air?", "choices": {"text": ["iron", "carbon dioxide", "salt", "glass"], "label": ["A", "B", "C", "D"]}, "answerKey": "B"},
    {"question": "Which of these is a planet?", "choices": {"text": ["the Moon", "the Sun", "Mars"], "label": ["1", "2", "3"]}, "answerKey": "3"},
    {"question": "Ice melts when it is", "choices": {"text": ["heated", "cooled", "painted", "weighed"], "label": ["A", "B", "C", "D"]}, "answerKey": "A"},
    {"question": "Sound is made by", "choices": {"text": ["light", "things that move to and fro", "colour", "shade"], "label": ["A", "B", "C", "D"]}, "answerKey": "B"},
]
DATA = {
    "arc_easy": arc,
    "arc_challenge": list(reversed(arc)),
    "openbookqa": [
        {"question_stem": "A magnet pulls", "choices": {"text": ["wood", "iron", "paper", "cloth"], "label": ["A", "B", "C", "D"]}, "answerKey": "B"},
        {"question_stem": "At night a desert is", "choices": {"text": ["cold", "hot", "wet", "loud"], "label": ["A", "B", "C", "D"]}, "answerKey": " A"},
        {"question_stem": "A frog begins its life as", "choices": {"text": ["a seed", "a stone", "an egg", "a leaf"], "label": ["A", "B", "C", "D"]}, "answerKey": "C"},
    ],
    "boolq": [
        {"passage": "The river runs from the hills to the sea. It is long.", "question": "does the river reach the sea", "label": 1},
        {"passage": "No bird lives on the island.", "question": "do birds live on the island", "label": 0},
        {"passage": "The bridge was built of stone.", "question": "was the bridge built of wood", "label": 0},
    ],
    "rte": [
        {"sentence1": "The old house was sold in May.", "sentence2": "A house was sold.", "label": 0},
        {"sentence1": "She sings in a choir.", "sentence2": "She plays the drums.", "label": 1},
        {"sentence1": "All shops are closed today.", "sentence2": "No shop is open.", "label": 0},
    ],
    "hellaswag": [
        {"activity_label": "Making tea", "ctx_a": "A man puts water on the stove.", "ctx_b": "he", "endings": ["waits until it boils [step] and pours it.", "throws the stove away.", "sings  to the wall.", "is a kettle."], "label": "0"},
        {"activity_label": "Cutting hair", "ctx_a": "[header] How to cut hair [title] Take a comb.", "ctx_b": "", "endings": ["Eat it.", "Comb the hair.", "Sell the chair.", "Paint it."], "label": "1"},
        {"activity_label": "Sailing", "ctx_a": "A boat leaves the harbour.", "ctx_b": "the sails", "endings": ["are filled by the wind.", "read a book.", "go to school.", "bake bread."], "label": "0"},
    ],
    "winogrande": [
        {"sentence": "The cup did not fit into the box because the _ was too big.", "option1": "cup", "option2": "box", "answer": "1"},
        {"sentence": "Ann asked Mary for help, for _ knew the way.", "option1": "Ann", "option2": "Mary", "answer": "2"},
        {"sentence": "The knife cut the bread, as the _ was sharp.", "option1": "knife", "option2": "bread", "answer": "1"},
    ],
}

# The task files of the harness, read from its package.
FILES = {
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "rte": "glue/rte/default.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "winogrande": "winogrande/default.yaml",
}
tasks = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")
with tempfile.TemporaryDirectory() as folder:
    for task, rows in DATA.items():
        path = os.path.join(OUT, f"{task}.jsonl")
        with open(path, "w") as out:
            for row in rows:
                out.write(json.dumps(row) + "\n")
        with open(os.path.join(folder, f"{task}.yaml"), "w") as out:
            out.write(f"""include: {os.path.join(tasks, FILES[task])}
task: local_{task}
tag: null
dataset_path: json
dataset_name: null
dataset_kwargs:
  data_files:
    validation: {os.path.abspath(path)}
training_split: null
validation_split: validation
test_split: null
""")
    model = HFLM(pretrained=FOLDER, dtype="float32", device="cpu", batch_size=1, max_length=256)
    found = lm_eval.simple_evaluate(
        model=model, tasks=[f"local_{task}" for task in DATA], task_manager=TaskManager(include_path=folder), bootstrap_iters=0
    )

golden = {}
for task in DATA:
    name = f"local_{task}"
    golden[task] = {
        "acc": found["results"][name]["acc,none"],
        "acc_norm": found["results"][name].get("acc_norm,none"),
        "loglikelihoods": [
            [resp[0] for resp in sample["filtered_resps"]] for sample in sorted(found["samples"][name], key=lambda s: s["doc_id"])
        ],
    }
with open(os.path.join(OUT, "golden.json"), "w") as out:
    json.dump({"lm_eval": lm_eval.__version__, "tasks": golden}, out, indent=1)
