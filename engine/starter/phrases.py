"""How people say the values of vocabulary.py; captions are written with these and read by them."""

from __future__ import annotations

from typing import Final

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
    "handbag": ("handbag", "hand bag", "purse", "bag", "shoulder bag"),
    "sunglasses": ("sunglasses", "pair of sunglasses", "shades"),
    "boots": ("boots", "boot", "pair of boots"),
    "dress": ("dress", "summer dress", "gown"),
    "hoodie": ("hoodie", "hooded sweatshirt", "sweatshirt"),
    "candle": ("candle", "scented candle"),
    "cushion": ("cushion", "pillow", "throw pillow"),
    "wall clock": ("wall clock", "clock"),
    "phone case": ("phone case", "phone cover", "smartphone case", "case for a phone"),
    "perfume bottle": ("perfume bottle", "perfume", "bottle of perfume", "fragrance bottle"),
    "bicycle helmet": ("bicycle helmet", "bike helmet", "cycling helmet", "helmet"),
    "ring": ("ring", "finger ring", "engagement ring"),
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
    "burgundy": ("burgundy", "wine red", "maroon", "dark red"),
    "coral": ("coral", "salmon"),
    "lavender": ("lavender", "lilac", "light purple"),
    "mint": ("mint", "mint green", "pale green"),
}
FINISH_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "matte": ("matte", "matt", "unglazed"),
    "glossy": ("glossy", "shiny", "polished", "glazed", "ceramic", "porcelain", "satin", "silk"),
    "metallic": ("metallic", "metal", "steel", "brushed metal", "stainless steel", "aluminum"),
    "wooden": ("wooden", "wood", "oak", "walnut", "bamboo"),
    "leather": ("leather", "real leather", "faux leather"),
    "fabric": ("fabric", "cloth", "cotton", "linen", "canvas", "knitted", "wool", "velvet"),
    "glass": ("glass", "transparent", "see-through", "crystal"),
}
# Words that say a color and a finish at once.
ALLOYS: Final[dict[str, tuple[str, str]]] = {
    "gold": ("yellow", "metallic"),
    "golden": ("yellow", "metallic"),
    "silver": ("gray", "metallic"),
    "chrome": ("gray", "metallic"),
    "copper": ("orange", "metallic"),
    "bronze": ("brown", "metallic"),
    "rose gold": ("pink", "metallic"),
}
PATTERN_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "plain": ("plain", "solid", "single-color", "unpatterned"),
    "striped": ("striped", "stripes", "stripe", "stripy"),
    "dotted": ("dotted", "dots", "polka dots", "polka dot", "spotted", "spots"),
    "two-tone": ("two-tone", "two tone", "two-colored", "accents", "details", "trim"),
}
# Nouns of a pattern, which a color may stand before: "with white stripes".
PATTERN_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "striped": ("stripes",),
    "dotted": ("dots", "polka dots", "spots"),
    "two-tone": ("accents", "details", "trim"),
}
VIEW_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "front": ("front view", "from the front", "seen from the front"),
    "side": ("side view", "from the side", "seen from the side", "in profile", "profile view"),
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
MASCOT_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "robot": ("robot", "android", "bot"),
    "cat": ("cat", "kitten", "kitty"),
    "fox": ("fox", "vixen"),
    "bear": ("bear", "teddy bear", "teddy"),
}
# Products that an avatar may wear: "a fox in a hoodie" is no hoodie.
WORN: Final = ("hoodie", "headphones", "cap", "sunglasses", "boots", "dress", "t-shirt", "watch")
# Words that ask for nothing.
FILLER: Final = frozenset(
    """
    a against an and are at avatar backdrop background beautiful before big classic clean color
    colored colors colour coloured cozy create cute detailed draw elegant expression for
    friendly from front generate good hair has have he head her high his icon illustration image
    in is it its large look looking lovely made make mascot me modern my new nice of old on one
    or our out paint pair pattern patterned photo photograph picture please pretty product
    profile quality render rendering same she shot shoulders show simple single skin small smart
    standing studio style stylish that the their they this to us very view wearing wears who
    whose with young your
    """.split()  # noqa: SIM905
)
