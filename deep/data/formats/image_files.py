"""Image files to pixels, known by their content; what was met among them."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["LOSSY", "decode", "format_note", "image_size", "is_image", "readable"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
LOSSY = {"JPEG": "JPEG", "WEBP": "WebP"}  # formats that need not keep pixels, and their names
# endings of image files, those that are refused by name among them
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
           ".pnm", ".avif", ".heic", ".heif", ".jp2", ".jxl")
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # eight bits a channel, or fewer
PIXEL_LIMIT = 2**26  # of one image; a file of a few bytes can claim any size


def is_image(name: str) -> bool:
    """Return whether a name ends like that of an image file, in any case.

    >>> is_image("train/cat/1.JPEG"), is_image("train/cat/notes.txt")
    (True, False)
    """
    return name.lower().endswith(ENDINGS)


def readable(content: bytes) -> bool:
    """Return whether the bytes `content` begin like an image of FORMATS, whatever their name.

    >>> readable(b"P5 1 1 255 x"), readable(b"notes")
    (True, False)
    """
    try:
        Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception:  # Pillow's readers raise nearly anything on other bytes
        return False
    return True


def bits(image: Any, content: bytes) -> int:
    """Return the bits of a channel in the file; Pillow opens some images of 16 as if they had 8."""
    if image.format == "PNG":
        return content[24]  # in the header IHDR, whose place is fixed
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,)))  # BitsPerSample
    if image.format == "PPM" and isinstance(image.tile[0][3], tuple):
        return int(image.tile[0][3][1]).bit_length()  # of the largest value
    return 8


def open_image(content: bytes, name: str) -> Image.Image:
    """Return the image in `content`, its pixels not yet decoded; ValueError naming it if it cannot be read."""
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        depth, frames = bits(image, content), getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a JPEG or PNG image, nor one of {', '.join(FORMATS[2:])}: copy it again, "
                         "convert it, or remove it.") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise ValueError(f"{name} is cut or damaged ({error}): copy it again, or remove it.") from error
    if image.mode not in MODES:
        raise ValueError(f"{name} is an image of mode {image.mode}, but 8 bits a channel are read: convert it first.")
    if depth > 8:
        raise ValueError(f"{name} has {depth} bits a channel, but at most 8 are read: convert it first.")
    if frames > 1 and image.format != "MPO":  # what cameras add to a JPEG are previews
        raise ValueError(f"{name} holds {frames} images, but one is read: save the one that is meant.")
    if image.width * image.height > PIXEL_LIMIT:
        raise ValueError(f"{name} has {image.width} x {image.height} pixels, but at most {PIXEL_LIMIT} are read: "
                         "shrink it first.")
    return image


def decode_upright(content: bytes, name: str) -> tuple[Image.Image, list[str]]:
    """Return (image turned as its EXIF orientation says, pixels decoded; what is to be counted of it)."""
    image = open_image(content, name)
    inside = image.format == "MPO" or image.info.get("compression") == "jpeg"  # JPEGs in another format's frame
    counts = ["JPEG" if inside else image.format or ""]
    try:
        if image.getexif().get(0x0112, 1) != 1:
            image, counts = ImageOps.exif_transpose(image), [*counts, "turned"]
        if image.mode in ("1", "L", "LA"):
            counts.append("gray")
        if "transparency" in image.info:  # a palette or gray level may be declared transparent
            image = image.convert("RGBA")
        return image.convert("RGB"), counts
    except Exception as error:
        raise ValueError(f"{name} is cut or damaged ({error}): copy it again, or remove it.") from error


def image_size(contents: Sequence[bytes], names: Sequence[str]) -> tuple[int, int]:
    """Return (width, height) of the first image: that of all, unless `resize` is asked for.

    >>> image_size([b"GIF"], ["cat.gif"])
    Traceback (most recent call last):
    ValueError: cat.gif is not a JPEG or PNG image, nor one of WEBP, BMP, GIF, TIFF, PPM: copy it again, convert it, ...
    """
    return decode_upright(contents[0], names[0])[0].size


def decode(contents: Sequence[bytes], names: Sequence[str], size: tuple[int, int], resize: int | None = None,
           counts: Counter[str] | None = None) -> UInt8[np.ndarray, "n 3 height width"]:
    """Decode the bytes of n files of FORMATS into images uint8 (n, 3, height, width).

    names: for the sentences. size: (width, height) of every image. resize: None, or the side of the square to
    which each image is cut, about its centre, and scaled (bicubic). Images are turned as their EXIF orientation
    says; gray becomes three equal channels; transparency is dropped. counts: a Counter that takes how many files have
    each format, are "gray" and are "turned". ValueError, naming the file: no image, several, cut in half, another
    size, 16 bits.

    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 2), 7).save(file, "png")
    >>> decode([file.getvalue()], ["gray.png"], (4, 2))[:, :, 0, 0]
    array([[7, 7, 7]], dtype=uint8)
    """
    width, height = size if resize is None else (resize, resize)
    images = np.empty((len(contents), 3, height, width), dtype=np.uint8)
    for pixels, content, name in zip(images, contents, names, strict=True):
        image, seen = decode_upright(content, name)
        if resize is not None:
            image = ImageOps.fit(image, (resize, resize), Image.Resampling.BICUBIC)
        elif image.size != size:
            raise ValueError(f"{name} has {image.width} x {image.height} pixels, but {size[0]} x {size[1]} are needed "
                             "here: remove it, or ask for one size with resize=PIXELS.")
        pixels[:] = np.asarray(image).transpose(2, 0, 1)
        if counts is not None:
            counts.update(seen)
    return images


def format_note(layout: str, counts: Mapping[str, int], total: int) -> str:
    """Return what a data set's name says of its files: lossy formats, and gray where all of them are.

    >>> format_note("image folder", {"PNG": 1, "JPEG": 2, "gray": 3}, 3)
    'image folder, JPEG, gray as RGB'
    """
    lossy = [name for kind, name in LOSSY.items() if counts.get(kind)]
    return ", ".join([layout, *lossy, *(["gray as RGB"] if counts.get("gray") == total else [])])
