"""Radiographs in DICOM, against pydicom's own steps and cases worked out by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from shamsul.data.reading import dicom, files
from shamsul.data.reading.files import decode, examine
from shamsul.data.reading.picture import UnreadableError
from shamsul.errors import InputError

COMPRESSED = {
    "MR_small_RLE.dcm": "RLE",
    "MR_small_jp2klossless.dcm": "JPEG 2000",
    "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS",
    "MR_small_bigendian.dcm": "big endian",
    "MR_small_implicit.dcm": "implicit",
}
GREY = [
    *("CT_small.dcm", "MR_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"),
    *("JPEG2000.dcm", "JPEGLSNearLossless_16.dcm", "examples_overlay.dcm", "liver_1frame.dcm"),
    "image_dfl.dcm",
]
COLOUR = ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm", "SC_ybr_full_422_uncompressed.dcm"]


def test_file(name):
    """A file that pydicom brings along; none is fetched."""
    path = get_testdata_file(name, download=False)
    assert path
    return Path(path)


test_file.__test__ = False


def made(pixels, bits=12, **header):
    """A DICOM file of these stored values, as bytes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored = 8 * pixels.dtype.itemsize, bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in header.items():
        setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def ramp(bits=12, kind=np.uint16):
    """All values of some bits, or 4,096 of them, from the lowest on."""
    low = -(2 ** (bits - 1)) if kind == np.int16 else 0
    return (low + np.arange(4096) * (2**bits // 4096)).reshape(64, 64).astype(kind)


@pytest.mark.parametrize("name", GREY)
def test_grey_values_are_those_of_pydicoms_steps(name):
    dataset = dcmread(test_file(name))
    stored = apply_modality_lut(pixel_array(dataset), dataset)
    shown = apply_voi_lut(stored, dataset).astype(float)
    bits = dataset.BitsStored
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (
        0, 2**bits - 1,
    )  # fmt: skip
    if "RescaleSlope" in dataset:
        low, high = (x * dataset.RescaleSlope + dataset.RescaleIntercept for x in (low, high))
    expected = np.clip((shown - low) / (high - low), 0, 1) * 255
    if "PixelPaddingValue" in dataset:
        expected[pixel_array(dataset) == dataset.PixelPaddingValue] = 0
    found = decode(test_file(name).read_bytes())
    assert np.abs(found.full_range(16) - expected).max() <= 0.5 + 1e-6
    assert found.own_range and found.bits == bits and expected.max() > expected.min()


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_files_hold_the_same_picture(name):
    plain = decode(test_file("MR_small.dcm").read_bytes()).grey
    np.testing.assert_array_equal(decode(test_file(name).read_bytes()).grey, plain)


@pytest.mark.parametrize("name", COLOUR)
def test_colour_becomes_luminance(name):
    colour = pixel_array(dcmread(test_file(name))).astype(float)
    found = decode(test_file(name).read_bytes()).grey
    assert np.abs(found - colour @ [0.299, 0.587, 0.114]).max() <= 1


def test_without_window_all_stored_bits_are_the_range():
    found = decode(made(ramp()))
    expected = np.floor(ramp() / 4095 * 255 + 0.5)
    np.testing.assert_array_equal(found.grey, expected)
    assert "no window in the DICOM header: all stored bits are the range" in found.notes
    # Nothing follows from the values that happen to be there.
    dark = decode(made(ramp() // 16)).grey
    assert dark.max() == round(255 / 4095 * 255)


@pytest.mark.parametrize("header", [
    {"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"},
    {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
])  # fmt: skip
def test_what_is_stored_white_is_turned_once(header):
    np.testing.assert_array_equal(
        decode(made(ramp(), **header)).grey, np.floor((4095 - ramp()) / 4095 * 255 + 0.5)
    )


def test_a_linear_window_is_that_of_the_standard():
    """PS3.3 C.11.2.1.2.1 worked out for centre 1000, width 201: black up to 899.5, white above
    1099.5; 1000 is ((1000 - 999.5) / 200 + 0.5) of the range."""
    grey = decode(made(ramp(), WindowCenter=1000, WindowWidth=201)).grey.ravel()
    assert grey[:900].max() == 0 and grey[1100:].min() == 255
    assert grey[1000] == np.floor((0.5 / 200 + 0.5) * 255 + 0.5)
    # Of several windows the first counts.
    several = made(ramp(), WindowCenter=[1000, 2000], WindowWidth=[201, 4000])
    np.testing.assert_array_equal(decode(several).grey.ravel(), grey)


def test_a_sigmoid_window_and_a_rescale_are_applied():
    data = made(
        ramp(12, np.int16), VOILUTFunction="SIGMOID", WindowCenter=500, WindowWidth=400,
        RescaleSlope=2, RescaleIntercept=100,
    )  # fmt: skip
    values = ramp(12, np.int16) * 2.0 + 100
    share = 1 / (1 + np.exp(-4 * (values - 500) / 400))
    assert np.abs(decode(data).grey - share * 255).max() <= 0.5 + 1e-6


def test_a_voi_lut_gives_its_own_range():
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 10])
    item.add_new("LUTData", "US", [min(x // 2, 1023) for x in range(4096)])
    # The table wins over a window.
    data = made(ramp(), VOILUTSequence=[item], WindowCenter=10, WindowWidth=3)
    expected = np.minimum(ramp() // 2, 1023) / 1023 * 255
    assert np.abs(decode(data).grey - expected).max() <= 0.5 + 1e-6


def test_bits_above_those_stored_are_not_looked_at():
    """Old files keep an overlay there."""
    values = ramp()
    dirty = values | 0xA000
    np.testing.assert_array_equal(decode(made(dirty)).grey, decode(made(values)).grey)


def test_padding_is_black_also_where_black_is_stored_high():
    values = ramp()
    data = made(
        values, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0,
        PixelPaddingRangeLimit=63,
    )  # fmt: skip
    found = decode(data)
    assert found.grey.ravel()[:64].max() == 0 and found.grey.ravel()[64] > 200
    assert "padding of the DICOM file made black" in found.notes


def test_outside_of_the_shutter_is_black():
    white = np.full((64, 64), 4095, np.uint16)
    box = {
        "ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 11,
        "ShutterRightVerticalEdge": 40, "ShutterUpperHorizontalEdge": 5,
        "ShutterLowerHorizontalEdge": 20,
    }  # fmt: skip
    expected = np.zeros((64, 64))
    expected[4:20, 10:40] = 255
    found = decode(made(white, **box))
    np.testing.assert_array_equal(found.grey, expected)
    assert "outside of the DICOM shutter made black" in found.notes
    circle = {
        "ShutterShape": ["RECTANGULAR", "CIRCULAR"], "CenterOfCircularShutter": [10, 20],
        "RadiusOfCircularShutter": 6,
    }  # fmt: skip
    rows, columns = np.indices((64, 64))
    expected[(rows - 9) ** 2 + (columns - 19) ** 2 > 36] = 0
    np.testing.assert_array_equal(decode(made(white, **(box | circle))).grey, expected)
    corners = [11, 11, 11, 31, 31, 31, 31, 11]
    polygon = decode(made(white, ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=corners))
    expected = np.zeros((64, 64))
    expected[10:31, 10:31] = 255
    np.testing.assert_array_equal(polygon.grey, expected)


def test_what_is_in_the_header_but_not_drawn_is_said():
    overlay = decode(test_file("examples_overlay.dcm").read_bytes())
    assert "overlay of the DICOM file not drawn" in overlay.notes
    burnt = decode(made(ramp(), BurnedInAnnotation="YES"))
    assert "text is burnt in, says the DICOM header" in burnt.notes


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (made(ramp(), NumberOfFrames=1)[:-100], "cannot be read"),
        (made(ramp(), NumberOfFrames=3), "is a DICOM of 3 frames; export the one that is meant"),
        (made(ramp(), HighBit=15), "12 stored bits end at bit 15"),
        (made(ramp(), RescaleSlope=0, RescaleIntercept=0), "rescale slope is 0"),
        (made(ramp(), Rows=60000, Columns=60000), "60000 x 60000 pixels, more than 100 million"),
        (made(ramp(), WindowCenter=1, WindowWidth=0), "Window Width must be greater"),
        (test_file("test-SR.dcm").read_bytes(), "is a DICOM without pixels"),
        (test_file("rtdose.dcm").read_bytes(), "is a DICOM of 15 frames"),
        (test_file("MR_truncated.dcm").read_bytes(), "is a DICOM that cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_radiograph_is_refused_in_one_line(data, said):
    with pytest.raises(UnreadableError) as error:
        decode(data)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_missing_decoder_is_named_with_its_remedy(monkeypatch):
    def missing(dataset):
        raise RuntimeError("Unable to decompress: all plugins are missing dependencies:\n\tgdcm")

    monkeypatch.setattr(dicom, "decoded", missing)
    with pytest.raises(UnreadableError, match=r"JPEG 2000 .*pip install 'shamsul\[dicom\]'"):
        decode(test_file("JPEG2000.dcm").read_bytes())


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_a_damaged_compressed_file_is_refused(syntax):
    dataset = dcmread(io.BytesIO(made(ramp())))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([bytes(100)])
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    with pytest.raises(UnreadableError, match="cannot be read"):
        decode(stream.getvalue())


def test_old_files_without_a_preamble_are_read():
    whole = made(ramp(), Modality="DX")
    dataset = dcmread(io.BytesIO(whole))
    stream = io.BytesIO()
    bare = Dataset()
    bare.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    bare.update({element.tag: element for element in dataset})
    bare.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert stream.getvalue()[:4] == b"\x08\x00\x16\x00"
    np.testing.assert_array_equal(decode(stream.getvalue()).grey, decode(whole).grey)


def test_facts_of_a_file(tmp_path):
    (tmp_path / "x.png").write_bytes(made(ramp(14), 14, WindowCenter=500, WindowWidth=1000))
    facts = examine(tmp_path / "x.png")
    assert (facts.height, facts.width, facts.bits, facts.own_range) == (64, 64, 14, True)
    assert facts.notes == "" and facts.reason == ""


PATIENT = {"PatientName": "Doe^Jane", "PatientID": "4711", "StudyInstanceUID": "1.2.3"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"ViewPosition": "PA", "PatientSex": "F", "PatientAge": "045Y", "Laterality": "L"},
            dicom.Header("frontal", "PA", "L", "F", 45),
        ),
        ({"ViewPosition": "AP", "PatientAge": "018M"}, dicom.Header("frontal", "AP", "", "", 1.5)),
        ({"ViewPosition": "LL", "PatientSex": "O"}, dicom.Header("lateral", "", "", "", None)),
        ({"ImageLaterality": "B"}, dicom.Header("", "", "B", "", None)),
        ({"PatientAge": "411"}, dicom.Header("", "", "", "", None)),
    ],
)
def test_the_header_says_view_side_sex_and_age_and_no_name(tmp_path, given, expected):
    (tmp_path / "x.dcm").write_bytes(made(ramp(), **given, **PATIENT))
    found = dicom.header(tmp_path / "x.dcm")
    if expected.age is None:
        assert np.isnan(found.age)
    else:
        assert found.age == expected.age
    assert repr(found).split("age")[0] == repr(expected).split("age")[0]
    assert not [word for word in ("Doe", "4711", "1.2.3") if word in repr(found)]
    asked = dicom.header(tmp_path / "x.dcm", identity=True)
    assert (asked.patient_id, asked.study_id) == ("4711", "1.2.3") and "Doe" not in repr(asked)


def test_a_header_of_no_dicom_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"x\.dcm: not a readable DICOM file"):
        dicom.header(tmp_path / "x.dcm")


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_are_a_radiograph_or_one_reason(data):
    whole = bytearray(made(ramp(), WindowCenter=500, WindowWidth=1000, ShutterShape="CIRCULAR",
                           CenterOfCircularShutter=[3, 3], RadiusOfCircularShutter=9))  # fmt: skip
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(132, 700))] = data.draw(st.integers(0, 255))
    try:
        found = files.decode(bytes(whole[: data.draw(st.integers(200, len(whole)))]))
    except UnreadableError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert found.grey.ndim == 2 and found.grey.dtype == np.uint8
