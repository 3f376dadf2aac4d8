"""ROUGE-L F-measures of rouge-score (0.1.2, without the stemmer) for pairs of texts: words in another order, repeated words, upper case, digits,
punctuation, other scripts, empty texts. Writes test/golden/rouge.json. Needs: pip install rouge-score"""

import json
import random
from pathlib import Path

from rouge_score import rouge_scorer

TEXTS = [
    ["The cat sat on the mat.", "the cat sat on the mat"],
    ["The cat sat on the mat.", "On the mat sat the cat!"],
    ["the the the", "the"],
    ["the", "the the the"],
    ["police killed the gunman", "police kill the gunman"],
    ["police killed the gunman", "the gunman kill police"],
    ["It's 3.14, isn't it?", "its 3 14 isn t it"],
    ["don't_stop", "don t stop"],
    ["{\"name\": \"Ada\", \"age\": 36}", "{\"age\": 36, \"name\": \"Ada\"}"],
    ["Crème brûlée", "Creme brulee"],
    ["你好 world", "world 你好"],
    ["你好", "你好"],
    ["", "something"],
    ["something", ""],
    ["", ""],
    ["one\ntwo\tthree", "one two three"],
    ["İstanbul Kelvin K", "istanbul kelvin k"],
]


def main() -> None:
    random.seed(7)
    words = "alpha beta gamma delta Epsilon zeta eta 42 theta".split()
    drawn = [[" ".join(random.choices(words, k=random.randint(1, 40))) for _ in range(2)] for _ in range(40)]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    cases = [
        {"reference": reference, "answer": answer, "f": scorer.score(reference, answer)["rougeL"].fmeasure}
        for reference, answer in TEXTS + drawn
    ]
    path = Path(__file__).parent.parent / "rouge.json"
    path.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
