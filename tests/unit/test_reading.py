"""Image files of any depth, colour and orientation, and files that are none."""

import io
import os
import subprocess
import sys
import warnings
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from shamsul.data.reading import files, picture
from shamsul.data.reading.files import decode, examine, load
from shamsul.data.reading.formats import HEAD, READ, recognise
from shamsul.data.reading.picture import UnreadableError
from shamsul.errors import InputError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image, kind="PNG", **options):
    """The bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def radiograph(height=60, width=80, highest=255, seed=0):
    """Smooth grey values from 0 to the highest, as of a radiograph."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.round((smooth - smooth.min()) / np.ptp(smooth) * highest)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_every_kind_of_file_gives_the_same_greys(kind, mode):
    if kind == "WEBP" and mode in ("LA", "P", "1"):
        pytest.skip("WebP has no such images")
    grey = np.where(RAMP > 127, 255, 0).astype(np.uint8) if mode == "1" else RAMP
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(grey).convert(mode), kind, **options)
    found = decode(data)
    assert found.own_range and found.bits == 8
    assert np.abs(found.full_range(16).astype(int) - grey).max() <= 1


def test_jpeg_is_read(tmp_path):
    grey = radiograph().astype(np.uint8)
    (tmp_path / "x.png").write_bytes(encoded(Image.fromarray(grey), "JPEG", quality=98))
    assert np.abs(load(tmp_path / "x.png").astype(int) - grey).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_values_of_fewer_bits_than_the_file_has_are_brought_to_full_range(kind, bits):
    values = radiograph(highest=2**bits - 1).astype(np.uint16)
    found = decode(encoded(Image.fromarray(values), kind))
    assert not found.own_range and found.grey.max() == 2**bits - 1
    expected = np.floor(values / (2**bits - 1) * 255 + 0.5)
    np.testing.assert_array_equal(found.full_range(bits), expected)
    # Under another depth it is darker by as much, and above its depth white.
    assert found.full_range(16).max() == round(255 * (2**bits - 1) / 65535)
    assert (found.full_range(8) == np.minimum(values, 255)).all()


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_a_tiff_whose_zero_is_white_is_turned(depth):
    values = radiograph(highest=2**depth - 1)
    kind = np.uint8 if depth == 8 else np.uint16
    image = Image.fromarray((2**depth - 1 - values).astype(kind))
    plain = decode(encoded(image, "TIFF", tiffinfo={262: 1})).full_range(depth)
    turned = decode(encoded(image, "TIFF", tiffinfo={262: 0})).full_range(depth)
    if depth == 8:  # Pillow writes the inverted values itself.
        np.testing.assert_array_equal(turned, plain)
    else:
        np.testing.assert_array_equal(turned, 255 - plain)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_colour_of_16_bits_keeps_its_lower_bits(kind, channels):
    """Pillow alone would cut each channel to its upper 8 bits: 0..15 of a 12-bit detector."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4096, (20, 30, channels)).astype(np.uint16)
    if channels == 4:
        values[..., 3] = rng.integers(0, 65536, (20, 30))
    data = cv2.imencode(kind, values)[1].tobytes()
    found = decode(data)
    blue, green, red = (values[..., channel].astype(float) for channel in range(3))
    grey = (19595 * red + 38470 * green + 7471 * blue) / 65536
    if channels == 4:
        grey *= values[..., 3] / 65535
        assert "transparency composed on black" in found.notes
    assert found.bits == 16 and not found.own_range
    assert np.abs(found.grey - grey).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_an_exif_orientation_is_obeyed(tmp_path, kind, orientation):
    image = Image.fromarray(radiograph(40, 64).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / "x"
    options = {"quality": 98} if kind == "JPEG" else {}
    file.write_bytes(encoded(image, kind, exif=exif, **options))
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.abs(load(file).astype(int) - expected).max() <= (3 if kind == "JPEG" else 0)
    facts = examine(file)
    assert (facts.height, facts.width) == expected.shape
    assert ("EXIF" in facts.notes) == (orientation != 1)


def test_wide_values_are_turned_too(tmp_path):
    values = radiograph(30, 50, 4095).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "x.png").write_bytes(encoded(Image.fromarray(values), exif=exif))
    np.testing.assert_array_equal(
        load(tmp_path / "x.png", 12), np.rot90(np.floor(values / 4095 * 255 + 0.5), -1)
    )


def test_transparency_is_composed_on_black():
    image = Image.merge("LA", (Image.new("L", (40, 40), 200), Image.new("L", (40, 40), 128)))
    found = decode(encoded(image))
    assert "transparency composed on black" in found.notes
    assert (found.full_range(16) == round(200 * 128 / 255)).all()
    clear = Image.fromarray(np.tile(np.array([[7, 300]], np.uint16), (40, 20)))
    wide = decode(encoded(clear, transparency=300))
    assert set(wide.grey.ravel()) == {0, 7}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**16 - 1), st.integers(1, 16), st.booleans())
def test_full_range_is_monotone_and_reaches_both_ends(value, depth, inverted):
    highest = 2**depth - 1
    values = np.array([[0, min(value, highest), highest, 2**16 - 1]])
    black, grey, white, above = picture.Picture(values, 16, False, inverted).full_range(depth)[0]
    ends = (255, 0) if inverted else (0, 255)
    assert (black, white) == ends and above == white
    assert abs(int(grey) - (ends[0] + (ends[1] - ends[0]) * values[0, 1] / highest)) <= 0.5 + 1e-9


def chunk(kind, content):
    return (
        len(content).to_bytes(4, "big")
        + kind
        + content
        + zlib.crc32(kind + content).to_bytes(4, "big")
    )


def huge_png(width, height):
    """A PNG of a few bytes whose header says that it is huge."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")[:5])


HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(100)
NIFTI = bytes(344) + b"n+1\x00"
WHOLE = encoded(Image.fromarray(radiograph(200, 200).astype(np.uint8)))
WHOLE_JPEG = encoded(Image.fromarray(radiograph(200, 200).astype(np.uint8)), "JPEG")
HOSTILE = {
    "empty": (b"", "is empty"),
    "text": (b"Fix: image not exported", "is text; read are PNG"),
    "JSON": (b'{"error": 404}', "is JSON; read are"),
    "HTML": (b"<html>Not found</html>", "is XML or HTML"),
    "PDF": (b"%PDF-1.7\n" + bytes(50), "is PDF"),
    "EPS, for which Pillow starts a program": (
        encoded(Image.new("L", (8, 8)), "EPS"),
        "is PostScript",
    ),
    "GIF": (encoded(Image.new("L", (8, 8)), "GIF"), "is GIF; read are"),
    "BMP": (encoded(Image.new("L", (8, 8)), "BMP"), "is BMP; read are"),
    "JPEG 2000": (encoded(Image.new("L", (8, 8)), "JPEG2000"), "is JPEG 2000"),
    "HEIC": (HEIC, "is HEIC or AVIF"),
    "NIfTI": (NIFTI, "is NIfTI"),
    "ZIP": (b"PK\x03\x04" + bytes(50), "is a ZIP archive"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "is HDF5"),
    "NumPy": (b"\x93NUMPY" + bytes(50), "is a NumPy array"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "`git lfs pull`"),
    "noise": (bytes(range(150, 250)) * 20, "is of no known image format"),
    "PNG without end": (WHOLE[:-300], "is a PNG that cannot be read (image file is truncated"),
    "PNG of its header alone": (WHOLE[:33], "is a PNG that cannot be read"),
    "PNG of its signature alone": (WHOLE[:8], "is a PNG that cannot be read"),
    "JPEG without end": (WHOLE_JPEG[:-300], "is a JPEG that cannot be read (image file is trunc"),
    "JPEG of two bytes more than its signature": (b"\xff\xd8\xff\xe0\x00", "is a JPEG that cannot"),
    "144 million pixels": (huge_png(12000, 12000), "is 12000 x 12000 pixels, more than 100 m"),
    "4e18 pixels": (huge_png(2**31 - 1, 2**31 - 1), "more than 100 million"),
    "no pixels": (huge_png(0, 10), "is a PNG that cannot be read"),
    "TIFF of floating-point values": (
        encoded(Image.fromarray(np.ones((40, 40), np.float32)), "TIFF"),
        "has floating-point values",
    ),
    "TIFF of negative values": (
        encoded(Image.fromarray(np.full((40, 40), -5, np.int32)), "TIFF"),
        "has negative values",
    ),
    "TIFF whose directory is outside": (b"II*\x00\xff\xff\xff\x7f", "is a TIFF that cannot"),
    "WebP without end": (
        encoded(Image.fromarray(radiograph().astype(np.uint8)), "WEBP")[:60],
        "is a WebP that cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_radiograph_is_told_in_one_line(tmp_path, name):
    data, said = HOSTILE[name]
    file = tmp_path / "x.png"
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = examine(file)
        with pytest.raises(InputError) as error:
            load(file)
    assert said in facts.reason and "\n" not in facts.reason and facts.sha256
    assert str(error.value) == f"{file}: not a readable image: it {facts.reason}"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is no regular file"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_what_is_no_file_is_told(tmp_path, make, said):
    path = tmp_path / "x.png"
    make(path)
    assert examine(path) == files.Facts(reason=said)


@pytest.mark.parametrize(
    ("name", "said"),
    [("x" * 5000, "File name too long"), ("a\0b", "is no path (")],
)
def test_a_path_that_cannot_be_is_told(tmp_path, name, said):
    assert said in examine(tmp_path / name).reason


def test_a_file_larger_than_any_radiograph_is_not_read(tmp_path):
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(picture.LARGEST_FILE + 1)
    assert examine(tmp_path / "x.png").reason == "has 1073741825 bytes; no radiograph does"


def test_a_gigapixel_image_takes_no_memory(tmp_path):
    (tmp_path / "x.png").write_bytes(huge_png(40000, 40000))
    program = (
        "import sys; from pathlib import Path; from shamsul.data.reading.files import examine\n"
        "from benchmarks.measure import added\n"
        "assert added(lambda: print(examine(Path(sys.argv[1])).reason)) < 20"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "x.png"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == "" and "40000 x 40000" in done.stdout


@pytest.mark.parametrize(
    ("image", "options", "note"),
    [
        (Image.new("L", (64, 64), 9), {}, "one grey value everywhere"),
        (Image.fromarray(RAMP), {}, "smaller than 32 pixels"),
        (
            Image.fromarray(radiograph(10, 20000).astype(np.uint8)),
            {},
            "more than five times as long as wide",
        ),
        (
            Image.new("L", (64, 64)),
            {"save_all": True, "append_images": [Image.fromarray(radiograph().astype(np.uint8))]},
            "first of several frames",
        ),
    ],
)
def test_what_is_doubtful_is_noted(tmp_path, image, options, note):
    for kind in ("PNG", "TIFF", *(["JPEG"] if not options else [])):
        file = tmp_path / f"x.{kind}"
        file.write_bytes(encoded(image, kind, **options))
        facts = examine(file)
        assert note in facts.notes.split("; ") and facts.reason == "", kind
        assert note in picture.DOUBTFUL


def test_the_format_follows_from_the_content():
    for kind, data in (("PNG", WHOLE), ("JPEG", WHOLE_JPEG)):
        assert recognise(data[:HEAD]) == kind
    preamble = bytes(128) + b"DICM"
    assert recognise(preamble) == "DICOM" == recognise(b"\x08\x00\x05\x00CS\x0a\x00")
    assert {recognise(data[:HEAD]) for data, _ in HOSTILE.values()} - set(READ) > {"GIF", "BMP"}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Of damaged EXIF data.
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_are_an_image_or_one_reason(data):
    """Any file that begins as an image does: cut, with bytes replaced, or both."""
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP"]))
    whole = bytearray(encoded(Image.fromarray(radiograph(40, 40).astype(np.uint8)), kind))
    for _ in range(data.draw(st.integers(0, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = decode(cut)
    except UnreadableError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert found.grey.ndim == 2 and found.full_range(16).dtype == np.uint8


def test_pillows_own_limit_stays_as_it_is():
    assert Image.MAX_IMAGE_PIXELS is not None
    assert PngImagePlugin.ImageFile.LOAD_TRUNCATED_IMAGES is False
