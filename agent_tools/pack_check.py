"""What is known of one file of an avatar pack after avatar_checks.py looked at it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class PackCheck(BaseModel):
    """The checks of one file."""

    path: str
    width: int
    height: int
    bytes: int
    square: bool = Field(description="Square, and of the side it is named after.")
    face_in_safe_circle: bool = Field(
        description="The head lies inside the circle of 80 % of the side."
    )
    corners: bool = Field(
        description="Corners are transparent where they shall be, opaque in full-bleed files."
    )
    solid: bool = Field(description="No see-through hole inside the figure.")
    light_enough: bool = Field(description="At most 256 KB at 512 px.")
    readable: bool = Field(description="Edge and face can be told apart at 32 px.")
    edge_on_light: float = Field(
        description="CIEDE2000 between the figure's edge and a white page (or its own backdrop)."
    )
    edge_on_dark: float = Field(
        description="The same on a dark page (or its own backdrop); below 10 is hard to see."
    )

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the file."""
        return all(
            (
                self.square,
                self.face_in_safe_circle,
                self.corners,
                self.solid,
                self.light_enough,
                self.readable,
            )
        )
