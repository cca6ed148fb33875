"""Stage 2: tokenizer and text encoder, taught to name every attribute of a caption, then frozen.

A small CLIP text model with one linear head an attribute on its end-of-text state; each head may
also answer "not said". Minutes on a CPU, where learning words together with pictures takes hours.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from engine.starter.captions import parse
from engine.starter.phrasings import varied_caption
from engine.starter.render.dataset import draw_items
from engine.starter.training import (
    CHECKPOINT_EVERY_S,
    Budget,
    Progress,
    every,
    load_checkpoint,
    save_checkpoint,
)
from engine.starter.vocabulary import FULL

MAX_TOKENS, BATCH, PEAK_RATE = 40, 64, 2e-3

HEADS = FULL.heads


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Train a byte-pair vocabulary on captions and save it as a CLIP tokenizer."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    rng = random.Random(7)
    captions = [
        varied_caption(item["domain"], item["attributes"], rng)
        for item in draw_items(20000, 0.6, 11, held_out=True)
    ]
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=1600,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    vocabulary = trained["vocab"]
    # Letters of words never seen end with the suffix too.
    for letter in pre_tokenizers.ByteLevel.alphabet():
        vocabulary.setdefault(letter + "</w>", len(vocabulary))
    result = CLIPTokenizer(
        vocab=vocabulary,
        merges=[tuple(pair) for pair in trained["merges"]],
        model_max_length=MAX_TOKENS,
    )
    result.save_pretrained(folder)
    return result


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return a CLIP text model of 1.6 million parameters."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def targets(domain: str, caption: str) -> list[int]:
    """Return for each head the index of what the caption says, the last index for "not said"."""
    said = parse(caption, FULL).attributes
    out = []
    for name, values in HEADS.items():
        prefix, _, attribute = name.partition("_")
        value = domain if name == "domain" else said.get(attribute) if prefix == domain else None
        out.append(values.index(value) if value in values else len(values))
    return out


class NamingHeads(nn.Module):
    """One linear head an attribute."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(v) + 1) for v in HEADS.values())

    def loss(self, state: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross entropy of all heads; labels (B, heads)."""
        parts = [functional.cross_entropy(h(state), labels[:, i]) for i, h in enumerate(self.heads)]
        return torch.stack(parts).mean()


def _start_from(earlier: Path, tokenizer: CLIPTokenizer, encoder: CLIPTextModel) -> None:
    """Take over an earlier encoder, and its tokens that are still there, whatever their number.

    A denoiser that was trained on the earlier encoder then understands the new one sooner.
    """
    state = load_checkpoint(earlier / "text_encoder.pt")
    if state is None:
        raise SystemExit(f"There is no text encoder in {earlier}.")
    before = CLIPTokenizer.from_pretrained(earlier / "tokenizer").get_vocab()
    weights = encoder.state_dict()
    for name, value in state["model"].items():
        if name.endswith("token_embedding.weight"):
            for token, row in tokenizer.get_vocab().items():
                if token in before:
                    weights[name][row] = value[before[token]]
        elif weights[name].shape == value.shape:
            weights[name] = value
    encoder.load_state_dict(weights)


def train(work: Path, minutes: float, start_from: Path | None = None) -> None:
    """Train until the budget is used; write `tokenizer/` and `text_encoder.pt` to `work`."""
    path = work / "text_encoder.pt"
    before = load_checkpoint(path)
    torch.manual_seed(0)
    if before is None:
        tokenizer = build_tokenizer(work / "tokenizer")
    else:
        tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    encoder = build_encoder(tokenizer)
    heads = NamingHeads(encoder.config.hidden_size)
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    if before is not None:
        encoder.load_state_dict(before["model"])
        heads.load_state_dict(before["heads"])
        optimizer.load_state_dict(before["optimizer"])
    elif start_from is not None:
        _start_from(start_from, tokenizer, encoder)
    step, shown = before["step"] if before else 0, 0.0
    rng = random.Random(step)
    pool = draw_items(40000, 0.6, 5, held_out=False)
    budget = Budget(minutes, before["used_s"] if before else 0.0)
    progress, due = Progress("text encoder"), every(CHECKPOINT_EVERY_S)
    share = budget.share if before else 0.0
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.rate()
        chosen = rng.choices(pool, k=BATCH)
        captions = [varied_caption(i["domain"], i["attributes"], rng) for i in chosen]
        labels = torch.tensor(
            [targets(i["domain"], c) for i, c in zip(chosen, captions, strict=True)]
        )
        tokens = tokenizer(
            captions,
            padding="longest",
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        state = encoder(input_ids=tokens.input_ids).pooler_output
        loss = heads.loss(state, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step, share = step + 1, budget.share
        shown = loss.item() if shown == 0 else 0.95 * shown + 0.05 * loss.item()
        progress.show(share, f"step {step}, loss {shown:.4f}")
        if next(due) or share >= 1:
            save_checkpoint(
                path,
                {
                    "model": encoder.state_dict(),
                    "heads": heads.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "used_s": budget.used_s,
                    "step": step,
                },
            )
    progress.close()


def load_encoder(work: Path) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Return the trained tokenizer and the frozen encoder."""
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    encoder = build_encoder(tokenizer)
    state = load_checkpoint(work / "text_encoder.pt")
    if state is None:
        raise SystemExit("There is no text encoder yet: run engine.starter.train_text first.")
    encoder.load_state_dict(state["model"])
    return tokenizer, encoder.eval().requires_grad_(False)


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--start-from", type=Path, help="work folder of an earlier model")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    train(options.work, options.minutes, options.start_from)


if __name__ == "__main__":
    main()
