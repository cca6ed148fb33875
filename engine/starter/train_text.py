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
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from engine.starter import vocabulary as words
from engine.starter.captions import parse, varied_caption
from engine.starter.render.dataset import draw_items
from engine.starter.training import Budget, load_checkpoint, save_checkpoint

MAX_TOKENS, BATCH, PEAK_RATE = 40, 64, 2e-3

HEADS: dict[str, tuple[str, ...]] = {
    **{f"product_{k}": v for k, v in words.PRODUCT_ATTRIBUTES.items()},
    **{f"avatar_{k}": v for k, v in words.AVATAR_ATTRIBUTES.items()},
    "domain": ("product", "avatar"),
}


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
    said = parse(caption).attributes
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


def train(work: Path, minutes: float) -> None:
    """Train, then write `tokenizer/` and `text_encoder.pt` to `work`."""
    done = work / "text_encoder.pt"
    if load_checkpoint(done) is not None:
        return
    torch.manual_seed(0)
    tokenizer = build_tokenizer(work / "tokenizer")
    encoder = build_encoder(tokenizer)
    heads = NamingHeads(encoder.config.hidden_size)
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    budget = Budget(minutes)
    rng = random.Random(3)
    pool = draw_items(40000, 0.55, 5, held_out=False)
    bar = tqdm(total=100, desc="text encoder", bar_format="{l_bar}{bar}| {elapsed} {postfix}")
    step, shown = 0, 0.0
    while budget.share < 1:
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
        step += 1
        shown = loss.item() if step == 1 else 0.95 * shown + 0.05 * loss.item()
        bar.n = 100 * budget.share
        bar.set_postfix_str(f"step {step}, loss {shown:.4f}")
    bar.close()
    encoder.config.save_pretrained(work / "text_encoder_config")
    save_checkpoint(done, {"model": encoder.state_dict(), "heads": heads.state_dict()})


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
    parser.add_argument("--minutes", type=float, default=3)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    train(options.work, options.minutes)


if __name__ == "__main__":
    main()
