"""What the families share: tokenizers of single letters, small text encoders, autoencoders."""

from __future__ import annotations

from typing import Any

QWEN_WORDS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_letters() -> list[str]:
    """The 256 letters that byte-level tokenizers write bytes with."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def clip_tokenizer() -> Any:
    """A CLIP tokenizer without merges: one token a byte."""
    from transformers import CLIPTokenizer

    letters = byte_letters()
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocab = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def clip_config(projection_dim: int = 32) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=projection_dim,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def t5(width: int = 32) -> tuple[Any, Any]:
    """A T5 tokenizer of printable ASCII and its encoder of this width."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [(chr(code), -3.0) for code in range(33, 127)]
    config = T5Config(
        vocab_size=len(pieces), d_model=width, d_ff=37, d_kv=8, num_layers=2, num_heads=4
    )
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512), T5EncoderModel(config)


def qwen_tokenizer() -> Any:
    """A Qwen tokenizer without merges, with a chat template."""
    from transformers import Qwen2Tokenizer

    words = [*QWEN_WORDS, *byte_letters()]
    tokenizer = Qwen2Tokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=[],
        model_max_length=4096,
        additional_special_tokens=list(QWEN_WORDS[1:]),
    )
    tokenizer.chat_template = _CHAT
    return tokenizer


def qwen3_config(layers: int) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=len(QWEN_WORDS) + 256,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        bos_token_id=0,
        eos_token_id=0,
    )


def gemma() -> tuple[Any, Any]:
    """A Gemma tokenizer of printable ASCII and its model, 16 wide."""
    from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", "\n"]
    words += [chr(code) for code in range(33, 127)]
    words += [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = GemmaTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=8192
    )
    config = Gemma2Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return tokenizer, Gemma2Model(config)


def vae(channels: int = 4, **options: Any) -> Any:
    """An AutoencoderKL that scales by eight."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=64,
        **options,
    )


def flow_vae(channels: int = 4) -> Any:
    """The AutoencoderKL of rectified-flow models: no quantization layers, shifted latents."""
    return vae(channels, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1)


def flow_scheduler() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
