"""Tiny random-weight models that look at pictures, built from config: real classes, no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models.parts import byte_letters, clip_config, clip_tokenizer

SIDE = 32


def _image_processor() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )


def _vision(kind: Any) -> Any:
    return kind(
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
    )


def _bytes_tokenizer(*special: str) -> Any:
    """Return a byte-level tokenizer without merges, with special words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *special, *byte_letters()]
    core = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(special),
        model_max_length=64,
    )


def clip(folder: Path) -> Path:
    """Write a CLIP model."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPVisionConfig

    torch.manual_seed(1)
    config = CLIPConfig(
        text_config=clip_config().to_dict(),
        vision_config=_vision(CLIPVisionConfig).to_dict(),
        projection_dim=32,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPProcessor(_image_processor(), clip_tokenizer()).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    """Write a SigLIP model."""
    import torch
    from transformers import (
        SiglipConfig,
        SiglipImageProcessor,
        SiglipModel,
        SiglipProcessor,
        SiglipTextConfig,
        SiglipVisionConfig,
    )

    torch.manual_seed(2)
    tokenizer = _bytes_tokenizer()
    text = SiglipTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = SiglipConfig(
        text_config=text.to_dict(), vision_config=_vision(SiglipVisionConfig).to_dict()
    )
    SiglipModel(config).save_pretrained(folder)
    images = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    SiglipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def llava(folder: Path, *, template: bool = True) -> Path:
    """Write a LLaVA model: one that is asked in words about a picture."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    torch.manual_seed(3)
    tokenizer = _bytes_tokenizer("<image>")
    config = LlavaConfig(
        vision_config=_vision(CLIPVisionConfig),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    chat = (
        "{% for message in messages %}{% for part in message.content %}"
        "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    LlavaProcessor(
        _image_processor(),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
        chat_template=chat if template else None,
    ).save_pretrained(folder)
    return folder


def blip(folder: Path) -> Path:
    """Write a BLIP model: one that describes a picture without being asked."""
    import torch
    from transformers import (
        BertTokenizerFast,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        BlipTextConfig,
        BlipVisionConfig,
    )

    torch.manual_seed(4)
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[DEC]",
        "a",
        "red",
        "mug",
        "blue",
        "cup",
    ]
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    text = BlipTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        encoder_hidden_size=32,
        intermediate_size=37,
        projection_dim=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=80,
        pad_token_id=0,
        bos_token_id=5,
        eos_token_id=3,
        sep_token_id=3,
    )
    config = BlipConfig(
        text_config=text.to_dict(), vision_config=_vision(BlipVisionConfig).to_dict()
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder
