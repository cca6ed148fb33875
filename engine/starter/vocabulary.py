"""Everything the starter model can be asked for, by name. No torch.

The first value of each attribute is the default that unsaid attributes take. Phrases are what
people type; the value is what training captions and recipes say.
"""

from __future__ import annotations

from typing import Final

# Reflectance of each named color, as sRGB.
COLORS: Final[dict[str, str]] = {
    "red": "#c8202b",
    "orange": "#f07a1c",
    "yellow": "#f7cf1f",
    "green": "#2f9e44",
    "sage": "#9caf88",
    "teal": "#12908e",
    "sky blue": "#82c8f0",
    "blue": "#2b63d9",
    "navy": "#1d2a57",
    "purple": "#7b34b3",
    "pink": "#f195b8",
    "brown": "#7b4a2b",
    "beige": "#dcc7a1",
    "gray": "#8d9096",
    "black": "#1f1f22",
    "white": "#f4f3ef",
}

BACKGROUNDS: Final[dict[str, str]] = {
    "white": "#ffffff",
    "light gray": "#d9dade",
    "beige": "#f1e3cd",
    "light blue": "#cfe6f7",
    "pink": "#fbd9e3",
    "mint": "#cdeedd",
    "charcoal": "#45474f",
}

FINISHES: Final[tuple[str, ...]] = ("matte", "glossy", "metallic")

# Each kind comes in two named shapes; the first is the default and is seldom said.
SHAPES: Final[dict[str, tuple[str, str]]] = {
    "mug": ("straight", "round"),
    "bottle": ("slim", "wide"),
    "vase": ("curved", "flared"),
    "lamp": ("cone", "drum"),
    "armchair": ("boxy", "rounded"),
    "sofa": ("boxy", "rounded"),
    "chair": ("high-back", "low-back"),
    "table": ("round", "square"),
    "stool": ("round", "square"),
    "backpack": ("tall", "compact"),
    "gift box": ("tall", "flat"),
    "teapot": ("round", "tall"),
    "watch": ("round", "square"),
    "headphones": ("round", "square"),
    "cap": ("short-brim", "long-brim"),
    "sneaker": ("low-top", "high-top"),
    "t-shirt": ("crew-neck", "v-neck"),
    "plant pot": ("tapered", "round"),
}
KINDS: Final[tuple[str, ...]] = tuple(SHAPES)

AVATAR_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "skin": ("light", "tan", "brown", "dark"),
    "hair_style": ("short", "long", "curly", "bun", "bald"),
    "hair_color": ("brown", "black", "blond", "red", "gray"),
    "glasses": ("no", "yes"),
    "beard": ("no", "yes"),
    "headwear": ("none", "headset", "chef hat"),
    "clothing": ("sweater", "hoodie", "suit"),
    "clothing_color": ("blue", "red", "orange", "yellow", "green", "teal", "purple", "black"),
    "expression": ("neutral", "smiling", "surprised", "sad", "thinking"),
    "background": tuple(BACKGROUNDS),
}
AVATAR_DEFAULTS: Final[dict[str, str]] = {k: v[0] for k, v in AVATAR_ATTRIBUTES.items()}

PRODUCT_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "kind": KINDS,
    "color": tuple(COLORS),
    "finish": FINISHES,
    "shape": ("default", "other"),
    "background": tuple(BACKGROUNDS),
}

KIND_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "mug": ("mug", "coffee mug", "cup", "coffee cup", "tea cup", "teacup"),
    "bottle": ("bottle", "water bottle", "flask", "drinking bottle"),
    "vase": ("vase", "flower vase"),
    "lamp": ("lamp", "table lamp", "desk lamp", "reading lamp"),
    "armchair": ("armchair", "arm chair", "lounge chair", "easy chair"),
    "sofa": ("sofa", "couch", "settee"),
    "chair": ("chair", "dining chair", "kitchen chair"),
    "table": ("table", "coffee table", "side table"),
    "stool": ("stool", "bar stool", "barstool"),
    "backpack": ("backpack", "rucksack", "school bag", "knapsack"),
    "gift box": ("gift box", "gift", "present", "giftbox"),
    "teapot": ("teapot", "tea pot", "kettle"),
    "watch": ("watch", "wristwatch", "wrist watch"),
    "headphones": ("headphones", "headphone", "earphones"),
    "cap": ("cap", "baseball cap", "hat"),
    "sneaker": ("sneaker", "sneakers", "trainer", "trainers", "running shoe", "shoe", "shoes"),
    "t-shirt": ("t-shirt", "tshirt", "tee", "t shirt", "tee shirt"),
    "plant pot": ("plant pot", "potted plant", "flower pot", "flowerpot", "planter", "plant"),
}
COLOR_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon yellow", "sunny yellow"),
    "green": ("green", "emerald", "emerald green"),
    "sage": ("sage", "sage green"),
    "teal": ("teal", "turquoise"),
    "sky blue": ("sky blue", "light blue", "pale blue"),
    "blue": ("blue", "royal blue", "cobalt"),
    "navy": ("navy", "navy blue", "dark blue"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rose"),
    "brown": ("brown", "chocolate brown"),
    "beige": ("beige", "cream", "sand"),
    "gray": ("gray", "grey"),
    "black": ("black",),
    "white": ("white",),
}
FINISH_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "matte": ("matte", "matt", "satin", "plain"),
    "glossy": ("glossy", "shiny", "polished", "glazed", "ceramic"),
    "metallic": ("metallic", "metal", "steel", "brushed metal"),
}
BACKGROUND_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "white": ("white", "plain", "clean", "pure white", "plain white"),
    "light gray": ("light gray", "light grey", "gray", "grey", "pale gray"),
    "beige": ("beige", "cream", "sand"),
    "light blue": ("light blue", "blue", "sky blue", "pale blue"),
    "pink": ("pink", "light pink", "rose"),
    "mint": ("mint", "mint green", "green", "light green"),
    "charcoal": ("charcoal", "dark", "dark gray", "dark grey", "black"),
}
BACKGROUND_NOUNS: Final[tuple[str, ...]] = ("background", "backdrop", "bg", "setting")
PERSON_WORDS: Final[tuple[str, ...]] = (
    "person", "man", "woman", "avatar", "portrait", "face", "assistant", "agent", "advisor",
    "guy", "lady", "gentleman", "girl", "boy", "chef", "employee", "character", "persona",
)  # fmt: skip
SKIN_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "light": ("light skin", "fair skin", "pale skin"),
    "tan": ("tan skin", "olive skin", "tanned skin"),
    "brown": ("brown skin", "medium brown skin"),
    "dark": ("dark skin", "deep brown skin", "black skin"),
}
HAIR_COLOR_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "brown": ("brown", "brunette", "chestnut"),
    "black": ("black", "dark"),
    "blond": ("blond", "blonde", "golden"),
    "red": ("red", "ginger", "auburn"),
    "gray": ("gray", "grey", "white", "silver"),
}
HAIR_STYLE_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "short": ("short",),
    "long": ("long", "straight"),
    "curly": ("curly", "afro", "wavy"),
    "bun": ("bun", "topknot", "top knot"),
    "bald": ("bald", "no hair", "shaved head"),
}
EXPRESSION_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "neutral": ("neutral", "calm", "serious", "neutral expression"),
    "smiling": ("smiling", "happy", "friendly", "cheerful", "smile", "celebrating"),
    "surprised": ("surprised", "amazed", "astonished"),
    "sad": ("sad", "apologetic", "sorry", "unhappy"),
    "thinking": ("thinking", "thoughtful", "pondering", "curious"),
}
CLOTHING_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "sweater": ("sweater", "jumper", "pullover", "shirt", "top"),
    "hoodie": ("hoodie", "hooded sweater"),
    "suit": ("suit", "jacket", "blazer"),
}

# Color-kind pairs that training never shows: 5 % of the 288, no color or kind hit too hard.
HELD_OUT_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        ("purple", "teapot"),
        ("green", "sneaker"),
        ("orange", "lamp"),
        ("yellow", "armchair"),
        ("teal", "mug"),
        ("red", "vase"),
        ("pink", "chair"),
        ("navy", "sofa"),
        ("sage", "bottle"),
        ("sky blue", "t-shirt"),
        ("brown", "headphones"),
        ("beige", "backpack"),
        ("blue", "plant pot"),
        ("black", "gift box"),
        ("gray", "cap"),
    }
)
