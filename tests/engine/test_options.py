"""How a model is held and computed: every option does what it says or is refused."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from engine_helpers import paint
from tiny_models import BUILDERS

from engine import ImageRequest, SamplingParams
from engine.errors import ModelNotLoaded
from engine.options import ModelOptions

pytestmark = pytest.mark.anyio
REQUEST = ImageRequest(
    "a red mug", width=64, height=64, params=SamplingParams(num_inference_steps=3)
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"precision": "int3"},
        {"quantization": "magic"},
        {"offload": "cloud"},
        {"backend": "abacus"},
        {"backend": "openvino", "quantization": "torchao-int8"},
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(wrong) -> None:
    with pytest.raises(ModelNotLoaded) as refused:
        ModelOptions(**wrong)
    assert refused.value.hint


async def test_the_number_format_can_be_chosen(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion, options=ModelOptions(precision="bfloat16"))
    assert (await paint(engine, REQUEST)).precision == "bfloat16 on cpu"


@pytest.mark.parametrize("offload", ["model", "group"])
async def test_offload_from_the_cpu_to_the_cpu_is_refused(
    offload, tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion, options=ModelOptions(offload=offload))
    with pytest.raises(ModelNotLoaded, match="the device is the CPU"):
        await engine.load()


async def test_an_unknown_attention_backend_is_named(model_folder, open_engine) -> None:
    engine = await open_engine(model_folder("flux"), options=ModelOptions(attention="squint"))
    with pytest.raises(ModelNotLoaded, match="squint"):
        await engine.load()
    native = await open_engine(model_folder("flux"), options=ModelOptions(attention="native"))
    assert (await paint(native, REQUEST)).images


async def test_packing_that_needs_another_device_is_refused(
    tiny_stable_diffusion, open_engine
) -> None:
    options = ModelOptions(quantization="bitsandbytes-8bit")
    engine = await open_engine(tiny_stable_diffusion, options=options)
    with pytest.raises(ModelNotLoaded, match=r"needs (a CUDA device|the package accelerate)"):
        await engine.load()


@pytest.mark.skipif(
    not (importlib.util.find_spec("torchao") and importlib.util.find_spec("accelerate")),
    reason="torchao and accelerate are not installed",
)
async def test_packed_weights_paint_nearly_the_same(model_folder, open_engine) -> None:
    folder = model_folder("flux")
    plain = await paint(await open_engine(folder), REQUEST)
    packed_engine = await open_engine(folder, options=ModelOptions(quantization="torchao-int8"))
    packed = await paint(packed_engine, REQUEST)
    difference = np.abs(
        np.asarray(plain.images[0]).astype(int) - np.asarray(packed.images[0]).astype(int)
    )
    assert difference.max() > 0 and difference.mean() < 8


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino not installed")
async def test_openvino_paints_the_same_and_keeps_the_converted_network(
    tmp_path, open_engine, monkeypatch
) -> None:
    from engine.openvino import OpenVinoDenoiser

    folder = BUILDERS["stable-diffusion-flow"](tmp_path / "model")
    plain = await paint(await open_engine(folder), REQUEST)
    settings = {"options": ModelOptions(backend="openvino"), "cost_file": tmp_path / "costs.json"}
    engine = await open_engine(folder, **settings)
    converted = await paint(engine, REQUEST)
    difference = np.abs(
        np.asarray(plain.images[0]).astype(int) - np.asarray(converted.images[0]).astype(int)
    )
    assert difference.max() <= 2
    assert list(tmp_path.glob("openvino-*.xml"))
    monkeypatch.setattr(OpenVinoDenoiser, "_convert", lambda self: pytest.fail("converted again"))
    again = await paint(await open_engine(folder, **settings), REQUEST)
    assert again.images[0].tobytes() == converted.images[0].tobytes()


async def test_openvino_refuses_what_it_cannot_compute(model_folder, open_engine) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino not installed")
    engine = await open_engine(model_folder("flux"), options=ModelOptions(backend="openvino"))
    with pytest.raises(ModelNotLoaded, match="UNet2DConditionModel"):
        await engine.load()
