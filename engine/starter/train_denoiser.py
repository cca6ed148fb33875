"""Stage 3: the denoiser, by flow matching on the frozen latents and captions.

x_t = (1 - t) x + t noise, the network predicts v = noise - x (rectified flow, arXiv:2209.03003),
t is logit-normal (arXiv:2403.03206), 10 % of captions are empty for classifier-free guidance.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from tqdm import tqdm

from engine.starter.autoencoder import StarterAutoencoder
from engine.starter.captions import varied_caption
from engine.starter.train_text import MAX_TOKENS, load_encoder
from engine.starter.training import (
    CHECKPOINT_EVERY_S,
    Average,
    Budget,
    Team,
    every,
    load_checkpoint,
    load_pictures,
    progress_bar,
    run_team,
    save_checkpoint,
    to_tensor,
    worker_count,
)

BATCH, PEAK_RATE, PHRASINGS = 16, 1e-3, 4  # BATCH is each worker's
UNET = {
    "sample_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (32, 64, 160, 240),
    "down_block_types": (
        "DownBlock2D",
        "DownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
    ),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 192,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}


def build_denoiser() -> UNet2DConditionModel:
    """Return the untrained denoiser."""
    return UNet2DConditionModel(**UNET)


@torch.inference_mode()
def encode_pictures(data: Path, work: Path) -> Tensor:
    """Return the latents (N, 4, 32, 32) fp16 of all training pictures, made once."""
    path = work / "latents.npy"
    if not path.exists():
        pictures, _ = load_pictures(data / "train.npy")
        state = load_checkpoint(work / "autoencoder.pt")
        if state is None:
            raise SystemExit("There is no autoencoder yet: run engine.starter.train_autoencoder.")
        model = StarterAutoencoder()
        model.load_state_dict(state["average"])
        parts = []
        for start in tqdm(range(0, len(pictures), 64), desc="latents"):
            parts.append(model.encode(to_tensor(pictures[start : start + 64])).latents.half())
        np.save(path, torch.cat(parts).numpy())
    return torch.from_numpy(np.load(path))


@torch.inference_mode()
def encode_captions(data: Path, work: Path) -> Tensor:
    """Return embeddings (N + 1, phrasings, tokens, width) fp16; the last is the empty text."""
    path = work / "captions.npy"
    if not path.exists():
        _, items = load_pictures(data / "train.npy")
        tokenizer, encoder = load_encoder(work)
        rng = random.Random(13)
        texts = [
            varied_caption(item["domain"], item["attributes"], rng)
            for item in items
            for _ in range(PHRASINGS)
        ] + [""] * PHRASINGS
        parts = []
        for start in tqdm(range(0, len(texts), 256), desc="captions"):
            tokens = tokenizer(
                texts[start : start + 256],
                padding="max_length",
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
            parts.append(encoder(input_ids=tokens.input_ids).last_hidden_state.half())
        whole = torch.cat(parts)
        np.save(path, whole.view(-1, PHRASINGS, *whole.shape[1:]).numpy())
    return torch.from_numpy(np.load(path))


def train(data: Path, work: Path, minutes: float, team: Team) -> None:
    """Train until the budget is used; resume from the last checkpoint."""
    latents, captions = encode_pictures(data, work), encode_captions(data, work)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    latents, captions = latents.to(device), captions.to(device)
    torch.manual_seed(0)
    model = build_denoiser().to(device).to(memory_format=torch.channels_last)
    path = work / "denoiser.pt"
    state = load_checkpoint(path)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    average = Average(model, 0.9975)
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values = state["average"]
    budget = Budget(minutes, state["used_s"] if state else 0.0)
    step = state["step"] if state else 0
    torch.manual_seed(step + team.rank)
    share = budget.share
    order = torch.randperm(len(latents))
    at = 0
    due = every(CHECKPOINT_EVERY_S)
    bar = progress_bar("denoiser", team)
    shown = state["loss"] if state else 1.0
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.rate()
        if at + BATCH > len(order):
            order, at = torch.randperm(len(latents)), 0
        chosen = order[at : at + BATCH]
        at += BATCH
        x = latents[chosen].float()
        rows = torch.where(torch.rand(BATCH) < 0.1, len(latents), chosen)
        text = captions[rows, torch.randint(PHRASINGS, (BATCH,))].float()
        t = torch.sigmoid(0.2 + torch.randn(BATCH, device=device))
        noise = torch.randn_like(x)
        mixed = (1 - t[:, None, None, None]) * x + t[:, None, None, None] * noise
        mixed = mixed.contiguous(memory_format=torch.channels_last)
        made = model(mixed, t * 1000, text).sample
        loss = (made - (noise - x)).pow(2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share = team.average(model.parameters(), budget.share)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if not team.leads:
            continue
        if step % 4 == 0:
            average.update(model, step // 4)
        shown = 0.99 * shown + 0.01 * loss.item()
        bar.n = 100 * budget.share
        seen = step * BATCH * team.size
        rate = seen / budget.used_s
        bar.set_postfix_str(f"samples {seen}, loss {shown:.4f}, {rate:.1f}/s")
        if next(due) or share >= 1:
            save_checkpoint(
                path,
                {
                    "model": model.state_dict(),
                    "average": average.values,
                    "optimizer": optimizer.state_dict(),
                    "used_s": budget.used_s,
                    "step": step,
                    "loss": shown,
                },
            )
    bar.close()


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--processes", type=int, default=worker_count())
    options = parser.parse_args()
    encode_pictures(options.data, options.work)
    encode_captions(options.data, options.work)
    run_team(options.processes, train, options.data, options.work, options.minutes)


if __name__ == "__main__":
    main()
