"""Image files to pixels, and the labels of decoded images checked."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["decode", "one_size"]

MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # eight bits a channel, or fewer
PIXEL_LIMIT = 2**26  # of one image; a file of a few bytes can claim any size


def opened(content, name):
    """The image in the bytes `content`, its pixels not yet decoded; ValueError naming it if it cannot be read."""
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a JPEG or PNG image: copy it again, or remove it.") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise ValueError(f"{name} is cut or damaged ({error}): copy it again, or remove it.") from error
    if image.mode not in MODES:
        raise ValueError(f"{name} is an image of mode {image.mode}, but 8 bits a channel are read: convert it first.")
    if image.width * image.height > PIXEL_LIMIT:
        raise ValueError(f"{name} has {image.width} x {image.height} pixels, but at most {PIXEL_LIMIT} are read: "
                         "shrink it first.")
    return image


def pixels(content, name, size, resize):
    """uint8 (height, width, 3) of one image file."""
    image = opened(content, name)
    if resize is None and image.size != size:
        raise ValueError(f"{name} has {image.width} x {image.height} pixels, but {size[0]} x {size[1]} are needed "
                         "here: remove it, or ask for one size with resize=PIXELS.")
    try:
        if "transparency" in image.info:  # a palette or gray level may be declared transparent
            image = image.convert("RGBA")
        image = image.convert("RGB")
    except Exception as error:
        raise ValueError(f"{name} is cut or damaged ({error}): copy it again, or remove it.") from error
    if resize is not None:
        image = ImageOps.fit(image, (resize, resize), Image.Resampling.BICUBIC)
    return np.asarray(image)


def one_size(contents, names):
    """(width, height) of the first image: that of all, unless `resize` is asked for.

    >>> one_size([b"GIF89a"], ["cat.gif"])
    Traceback (most recent call last):
    ValueError: cat.gif is not a JPEG or PNG image: copy it again, or remove it.
    """
    return opened(contents[0], names[0]).size


def decode(contents, names, size, resize=None):
    """Images uint8 (n, 3, height, width) from the bytes of n JPEG or PNG files.

    names: for the sentences. size: (width, height) of every image. resize: None, or the side of the square to
    which each image is cut, about its centre, and scaled (bicubic). Gray becomes three equal channels;
    transparency is dropped. ValueError, naming the file: no image, cut in half, another size, 16 bits.

    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 2), 7).save(file, "png")
    >>> decode([file.getvalue()], ["gray.png"], (4, 2))[:, :, 0, 0]
    array([[7, 7, 7]], dtype=uint8)
    """
    width, height = size if resize is None else (resize, resize)
    images = np.empty((len(contents), 3, height, width), dtype=np.uint8)
    for image, content, name in zip(images, contents, names, strict=True):
        image[:] = pixels(content, name, size, resize).transpose(2, 0, 1)
    return images
