"""The products by kind; two named shapes each (see vocabulary.KINDS)."""

from __future__ import annotations

from typing import Final

from engine.starter.render import accessories, apparel, furniture, vessels
from engine.starter.render.parts import Builder

BUILDERS: Final[dict[str, Builder]] = {
    "mug": vessels.mug,
    "bottle": vessels.bottle,
    "vase": vessels.vase,
    "lamp": furniture.lamp,
    "armchair": furniture.armchair,
    "sofa": furniture.sofa,
    "chair": furniture.chair,
    "table": furniture.table,
    "stool": furniture.stool,
    "backpack": accessories.backpack,
    "gift box": accessories.gift_box,
    "teapot": vessels.teapot,
    "watch": accessories.watch,
    "headphones": accessories.headphones,
    "cap": apparel.cap,
    "sneaker": apparel.sneaker,
    "t-shirt": apparel.t_shirt,
    "plant pot": vessels.plant_pot,
    "handbag": accessories.handbag,
    "sunglasses": accessories.sunglasses,
    "boots": apparel.boots,
    "dress": apparel.dress,
    "hoodie": apparel.hoodie,
    "candle": vessels.candle,
    "cushion": furniture.cushion,
    "wall clock": furniture.wall_clock,
    "phone case": accessories.phone_case,
    "perfume bottle": vessels.perfume_bottle,
    "bicycle helmet": apparel.bicycle_helmet,
    "ring": accessories.ring,
}
