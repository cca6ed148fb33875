"""What the engine makes of a model it has never heard of, from its JSON files alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.description import describe
from engine.families import FAMILIES, MAX_SIDE, MIN_SIDE
from engine.registry import KNOWN_MODELS, ModelSpec, models_serving

VAE_OF_EIGHT = {"block_out_channels": [128, 256, 512, 512]}


def described(pipeline: str, **configs: dict[str, Any]) -> ModelSpec:
    return describe("model", "/models/model", {"_class_name": pipeline}, configs)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_pipeline_class_of_a_family_is_recognized(family) -> None:
    for name in family.classes.values():
        spec = described(name, vae=VAE_OF_EIGHT)
        assert spec.family.name == family.name
        assert spec.family.multiple == family.multiple
        assert set(spec.modes) == set(family.modes)


@pytest.mark.parametrize(
    ("pipeline", "configs", "size", "multiple"),
    [
        ("StableDiffusionPipeline", {"unet": {"sample_size": 96}, "vae": VAE_OF_EIGHT}, 768, 8),
        ("StableDiffusion3Pipeline", {"transformer": {"sample_size": 64}}, 1024, 16),
        (
            "StableDiffusion3Pipeline",
            {"transformer": {"sample_size": 64}, "vae": VAE_OF_EIGHT},
            512,
            16,
        ),
        ("FluxPipeline", {"vae": {"block_out_channels": [1] * 5}}, 1024, 32),
        ("QwenImagePipeline", {"vae": {"temperal_downsample": [False, True, True]}}, 1328, 16),
        (
            "SanaPipeline",
            {"transformer": {"sample_size": 16}, "vae": {"encoder_block_out_channels": [1] * 6}},
            512,
            32,
        ),
    ],
)
def test_size_and_grid_come_from_the_networks_configs(pipeline, configs, size, multiple) -> None:
    spec = described(pipeline, **configs)
    assert (spec.size, spec.family.multiple) == (size, multiple)


def test_sizes_of_the_training_set_are_used_only_where_the_pipeline_knows_them() -> None:
    known = described("PixArtSigmaPipeline", transformer={"sample_size": 128}, vae=VAE_OF_EIGHT)
    unknown = described("PixArtSigmaPipeline", transformer={"sample_size": 100}, vae=VAE_OF_EIGHT)
    assert known.family.binned_sizes
    assert not unknown.family.binned_sizes


def test_an_inpainting_unet_is_recognized_by_its_channels() -> None:
    spec = described("StableDiffusionPipeline", unet={"in_channels": 9}, vae=VAE_OF_EIGHT)
    assert spec.modes == ("inpaint", "outpaint")


def test_a_pipeline_of_no_known_family_paints_from_words() -> None:
    spec = described("KolorsPipeline")
    assert spec.modes == ("text-to-image",)
    assert spec.license == "unknown"
    assert spec.commercial is None


SCALAR = st.sampled_from([None, True, False, -1, 0, 1, 9, 32, 10**30, 0.5, float("nan"), "", "8"])
JSON = SCALAR | st.lists(SCALAR, max_size=12) | st.just({"a": [1]})
CONFIG = st.dictionaries(
    st.sampled_from(
        [
            "sample_size",
            "in_channels",
            "block_out_channels",
            "encoder_block_out_channels",
            "temperal_downsample",
        ]
    ),
    JSON,
)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([name for family in FAMILIES for name in family.classes.values()]),
    st.dictionaries(st.sampled_from(["unet", "transformer", "vae"]), CONFIG),
)
def test_no_config_makes_a_model_of_absurd_size(pipeline, configs) -> None:
    spec = described(pipeline, **configs)
    assert MIN_SIDE <= spec.size <= MAX_SIDE
    assert 1 <= spec.family.multiple <= 16 * 256
    assert spec.modes


def test_every_mode_that_families_have_is_served_by_a_model_of_a_name() -> None:
    for family in FAMILIES:
        assert any(spec.family is family for spec in KNOWN_MODELS)
        for mode in family.modes:
            assert models_serving(mode)
