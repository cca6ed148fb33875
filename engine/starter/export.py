"""Stage 4: write the trained parts as a diffusers folder that any pipeline loads.

`python -m engine.starter.export --work FOLDER [--out FOLDER]`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from engine.starter import WEIGHTS
from engine.starter.autoencoder import StarterAutoencoder
from engine.starter.train_denoiser import build_denoiser
from engine.starter.train_text import load_encoder
from engine.starter.training import load_checkpoint

SHARD = "15MB"


def build_scheduler() -> DPMSolverMultistepScheduler:
    """Return DPM-Solver++ 2M over flow sigmas (arXiv:2211.01095)."""
    return DPMSolverMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=1.5,
        algorithm_type="dpmsolver++",
        solver_order=2,
        steps_offset=1,
        final_sigmas_type="zero",
    )


def assemble(work: Path) -> StableDiffusionPipeline:
    """Return the pipeline of the averaged weights in `work`."""
    parts: dict[str, Any] = {}
    for name, module in (("autoencoder", StarterAutoencoder()), ("denoiser", build_denoiser())):
        state = load_checkpoint(work / f"{name}.pt")
        if state is None:
            raise SystemExit(f"There is no {name}.pt in {work}: train first.")
        module.load_state_dict(state["average"])
        parts[name] = module.eval()
    decoder = load_checkpoint(work / "decoder.pt")
    if decoder is not None:
        parts["autoencoder"].load_state_dict(decoder["average"])
    tokenizer, encoder = load_encoder(work)
    return StableDiffusionPipeline(
        vae=parts["autoencoder"],
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=parts["denoiser"],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def main() -> None:
    """Write the folder and say what it weighs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    pipeline = assemble(options.work).to(torch.float16)
    pipeline.save_pretrained(options.out, safe_serialization=True, max_shard_size=SHARD)
    files = [p for p in options.out.rglob("*") if p.is_file()]
    weight = sum(p.stat().st_size for p in files) / 1e6
    print(json.dumps({"out": str(options.out), "files": len(files), "mb": round(weight, 2)}))


if __name__ == "__main__":
    main()
