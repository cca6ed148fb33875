"""Stage 4: write the trained parts as a diffusers folder that any pipeline loads.

`python -m engine.starter.export --work FOLDER [--out FOLDER]`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch import Tensor

from engine.starter import WEIGHTS
from engine.starter.conditioning import LATENT, save_conditioning, split_denoiser
from engine.starter.latents import load_painter
from engine.starter.train_denoiser import COOLED, TRUNK, build_denoiser
from engine.starter.train_text import load_encoder
from engine.starter.train_upscaler import CHECKPOINT as UPSCALED
from engine.starter.training import load_checkpoint
from engine.starter.upscaler import FOLDER, StarterUpscaler
from engine.starter.vocabulary import FULL

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


def assemble(work: Path) -> tuple[StableDiffusionPipeline, Tensor]:
    """Return the pipeline of the averaged weights in `work`, and its conditioning channels."""
    autoencoder, denoiser = load_painter(work), build_denoiser(in_channels=LATENT)
    trained = load_checkpoint(work / COOLED) or load_checkpoint(work / TRUNK)
    if trained is None:
        raise SystemExit(f"The denoiser is missing in {work}: train first.")
    weights, extra = split_denoiser(trained["average"])
    denoiser.load_state_dict(weights)
    tokenizer, encoder = load_encoder(work)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=denoiser.eval(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipeline, extra


def save_upscaler(work: Path, out: Path) -> bool:
    """Write the second stage's network to `out`, if it is trained; return whether."""
    trained = load_checkpoint(work / UPSCALED)
    if trained is None:
        return False
    model = StarterUpscaler()
    model.load_state_dict(trained["average"])
    model.to(torch.float16).save_pretrained(out / FOLDER, safe_serialization=True)
    return True


def main() -> None:
    """Write the folder and say what it weighs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    pipeline, extra = assemble(options.work)
    pipeline.to(torch.float16).save_pretrained(
        options.out, safe_serialization=True, max_shard_size=SHARD
    )
    save_conditioning(extra.half(), options.out)
    save_upscaler(options.work, options.out)
    FULL.save(options.out)
    files = [p for p in options.out.rglob("*") if p.is_file()]
    weight = sum(p.stat().st_size for p in files) / 1e6
    print(json.dumps({"out": str(options.out), "files": len(files), "mb": round(weight, 2)}))


if __name__ == "__main__":
    main()
