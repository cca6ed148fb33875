"""Color as numbers: sRGB, linear light, Oklab, CIE L*a*b* and the CIEDE2000 difference.

Arrays are numpy, the last axis holds the three channels; shapes before it are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Rgb = tuple[int, int, int]
Array = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]

# Björn Ottosson, https://bottosson.github.io/posts/oklab/
_LMS_FROM_LINEAR = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB_FROM_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LMS_FROM_OKLAB = np.linalg.inv(_OKLAB_FROM_LMS)
_LINEAR_FROM_LMS = np.linalg.inv(_LMS_FROM_LINEAR)
# IEC 61966-2-1, D65.
_XYZ_FROM_LINEAR = np.array(
    [
        [0.4123907993, 0.3575843394, 0.1804807884],
        [0.2126390059, 0.7151686788, 0.0721923154],
        [0.0193308187, 0.1191947798, 0.9505321522],
    ]
)
_WHITE = _XYZ_FROM_LINEAR.sum(axis=1)
LUMINANCE = _XYZ_FROM_LINEAR[1].astype(np.float32)


def linear_from_srgb(srgb: Bytes) -> npt.NDArray[np.float32]:
    """Decode sRGB bytes to linear light, 0 to 1, float32."""
    return _LINEAR_OF_BYTE[srgb]


def srgb_from_linear(linear: Array) -> Bytes:
    """Encode linear light to sRGB bytes; values outside 0 to 1 are clipped.

    A table of 65,536 entries answers within one half of a byte step.
    """
    index = np.clip(linear, 0, 1) * np.float32(_ENCODE_STEPS) + np.float32(0.5)
    return _BYTE_OF_LINEAR[index.astype(np.uint16)]


def oklab_from_linear(linear: Array) -> Array:
    """Convert linear sRGB to Oklab (L 0 to 1; a, b about -0.4 to 0.4)."""
    lms = linear @ _LMS_FROM_LINEAR.T.astype(linear.dtype)
    return np.cbrt(lms) @ _OKLAB_FROM_LMS.T.astype(linear.dtype)


def linear_from_oklab(oklab: Array) -> Array:
    """Convert Oklab to linear sRGB; colors outside the gamut leave 0 to 1."""
    root = oklab @ _LMS_FROM_OKLAB.T.astype(oklab.dtype)
    return (root * root * root) @ _LINEAR_FROM_LMS.T.astype(oklab.dtype)


def lab_from_linear(linear: Array) -> npt.NDArray[np.float64]:
    """Convert linear sRGB to CIE L*a*b* (D65), L* 0 to 100."""
    scaled = (np.asarray(linear, np.float64) @ _XYZ_FROM_LINEAR.T) / _WHITE
    small = scaled <= (6 / 29) ** 3
    root = np.where(small, scaled * (29 / 6) ** 2 / 3 + 4 / 29, np.cbrt(scaled))
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def delta_e_2000(lab1: Array, lab2: Array) -> npt.NDArray[np.float64]:
    """Return the CIEDE2000 color difference of broadcastable L*a*b* arrays.

    G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes,
    Supplementary Test Data, and Mathematical Observations", Color Research and Application 30(1),
    2005, equations 2 to 22, with kL = kC = kH = 1.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(lab1, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(lab2, np.float64), -1, 0)
    mean_chroma7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(mean_chroma7 / (mean_chroma7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    gray = c1 * c2 == 0

    dl, dc = l2 - l1, c2 - c1
    turn = np.where(gray, 0.0, (h2 - h1 + 180) % 360 - 180)
    # Eq. 10 maps exactly opposite hues to +180 when h2 > h1; the remainder above gives -180.
    turn = np.where((turn == -180) & (h2 > h1), 180.0, turn)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))

    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    h_sum, far = h1 + h2, np.abs(h1 - h2) > 180
    h_mean = np.where(far, np.where(h_sum < 360, h_sum + 360, h_sum - 360), h_sum) / 2
    h_mean = np.where(gray, h_sum, h_mean)
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    l_offset = (l_mean - 50) ** 2
    s_l = 1 + 0.015 * l_offset / np.sqrt(20 + l_offset)
    s_c = 1 + 0.045 * c_mean
    s_h = 1 + 0.015 * c_mean * t
    c_mean7 = c_mean**7
    rotation = (
        -2
        * np.sqrt(c_mean7 / (c_mean7 + 25.0**7))
        * np.sin(np.radians(60 * np.exp(-(((h_mean - 275) / 25) ** 2))))
    )
    terms = (dl / s_l) ** 2 + (dc / s_c) ** 2 + (dh / s_h) ** 2
    total = terms + rotation * (dc / s_c) * (dh / s_h)
    result: npt.NDArray[np.float64] = np.sqrt(np.maximum(total, 0))
    return result


def nearest(rgb: Rgb, colors: Sequence[Rgb]) -> tuple[int, float]:
    """Return the index of the color closest to `rgb` and its CIEDE2000 distance; sRGB bytes."""
    known, own = (lab_from_linear(linear_from_srgb(np.array(c, np.uint8))) for c in (colors, rgb))
    distances = delta_e_2000(known, own)
    best = int(np.argmin(distances))
    return best, float(distances[best])


def lightened(rgb: Rgb, shift: float) -> Rgb:
    """Return sRGB bytes whose Oklab lightness is `shift` higher, or lower if it is negative."""
    oklab = oklab_from_linear(linear_from_srgb(np.array(rgb, np.uint8)).astype(np.float64))
    oklab[0] = np.clip(oklab[0] + shift, 0.05, 0.98)
    red, green, blue = srgb_from_linear(linear_from_oklab(oklab)).tolist()
    return red, green, blue


def _tables() -> tuple[npt.NDArray[np.float32], Bytes]:
    code = np.arange(256) / 255
    decode = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    linear = np.arange(_ENCODE_STEPS + 1) / _ENCODE_STEPS
    encode = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return decode.astype(np.float32), np.round(encode * 255).astype(np.uint8)


_ENCODE_STEPS = 65535
_LINEAR_OF_BYTE, _BYTE_OF_LINEAR = _tables()
