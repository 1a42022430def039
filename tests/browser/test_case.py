"""The page of one radiograph in a real browser: every control, keys, widths, and no request."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

import shamsul
from shamsul.data.masks import encode
from shamsul.geometry import Frame
from shamsul.job.fingerprint import PROJECT
from shamsul.report.case.content import Case, Explanation, Layer, Segmentation
from shamsul.report.case.page import inline, render

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
AXE = PROJECT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = "<img src=x onerror=window.hit=1>\"' & </script>"
SHAPE = 120, 100


def masks():
    """Masks of two readers, by class and reader."""
    found = {}
    for name, shift in (("Edema", 0), (HOSTILE, 20)):
        for reader, more in (("one", 0), ("two", 6)):
            mask = np.zeros(SHAPE, bool)
            mask[30 : 60 + more, 20 + shift : 50 + shift] = True
            found[name, reader] = mask
    return found


def maps():
    """Maps by method and class: a blob, a signed one, and noise of another resolution."""
    rng = np.random.default_rng(3)
    found = {}
    for number, name in enumerate(("Edema", HOSTILE)):
        down, across = np.indices((8, 8))
        blob = np.exp(-((down - 3) ** 2 + (across - 2 - number) ** 2) / 4)
        found["grad_cam", name] = blob.astype(np.float32)
        found["lrp_z", name] = (blob - 0.3).astype(np.float32)
        found["lime", name] = rng.random((60, 50)).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def case():
    frame = Frame.fit(*SHAPE, 64, "stretch")
    rows = [
        {
            "image_id": "p1", "class": name, "annotator": reader, "kind": "segmentation",
            "height": SHAPE[0], "width": SHAPE[1], "counts": encode(mask),
        }
        for (name, reader), mask in masks().items()
    ]  # fmt: skip
    costs = {"grad_cam": "forward", "lrp_z": "backward", "lime": "sampling"}
    explanations = [
        Explanation(
            method, f"{method} <b>", cost, method == "lrp_z",
            {name: Layer(values, frame) for (of, name), values in maps().items() if of == method},
        )
        for method, cost in costs.items()
    ]  # fmt: skip
    drawn = Segmentation(*SHAPE, encode(masks()["Edema", "two"]))
    reader = {"Edema": Layer(drawn, frame)}
    explanations.append(Explanation("reader", "Reader", "no_model", False, reader))
    down, across = np.indices(SHAPE)
    image = (40 + 90 * np.hypot(down / 120, across / 100)).astype(np.uint8)
    measure = {"method": "grad_cam", "class": "Edema", "metric": "iou", "kind": "segmentation"}
    return Case(
        image_id=f"p1 {HOSTILE}",
        image=image,
        height=SHAPE[0],
        width=SHAPE[1],
        probabilities={"Edema": 0.8, HOSTILE: 0.4, "Other": 0.1},
        explanations=explanations,
        masks=rows,
        labels={"Edema": 1.0},
        tuned={"grad_cam": {"Edema": 700}},
        measures=[{**measure, "rule": "otsu", "value": 0.125}],
        provenance={"Patient": HOSTILE},
        notes=[f"left out {HOSTILE}"],
    )


@pytest.fixture(scope="module")
def file(case, tmp_path_factory):
    path = tmp_path_factory.mktemp("case") / "case.html"
    path.write_text(render(case), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, file):
    """Open the page; at the end it has said nothing and asked for nothing."""
    complaints, requests, contexts = [], [], []

    def opened(address="", width=1280, scheme="light", of=None):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((of or file).as_uri() + address)
        if of is None:
            page.wait_for_selector("html[data-ready]")
            page.wait_for_selector("#measures tbody tr")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
    assert not [url for url in requests if not url.startswith(("file:", "data:", "about:"))]


def told(page, method):
    """What stands under a method's map."""
    page.wait_for_timeout(120)
    return page.text_content(f'.pane[data-method="{method}"] .told')


def live_iou(page, method):
    return float(re.search(r"IoU (\d\.\d+)", told(page, method))[1])


def choose(page, name, value):
    """Set a slider or list, as a hand does."""
    page.eval_on_selector(
        f'[name="{name}"]',
        "(input, value) => { input.value = value;"
        " input.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(value),
    )


def checked(page, selector):
    page.locator(selector).set_checked(True, force=True)


@pytest.mark.parametrize("threshold", [0.105, 0.5, 0.815])
@pytest.mark.parametrize("reader", ["all readers", "one", "two"])
def test_the_live_iou_is_that_of_the_library(open_page, threshold, reader):
    page = open_page()
    choose(page, "threshold", threshold)
    page.select_option("#reader", reader)
    drawn = masks()
    mask = drawn["Edema", "two" if reader == "two" else "one"].copy()
    if reader == "all readers":
        mask |= drawn["Edema", "two"]
    for method in ("grad_cam", "lrp_z", "lime"):
        expected = shamsul.score(maps()[method, "Edema"], mask, threshold=threshold)["iou"]
        assert live_iou(page, method) == pytest.approx(expected, abs=5.1e-4), method
    overlap = (drawn["Edema", "two"] & mask).sum() / (drawn["Edema", "two"] | mask).sum()
    checked(page, 'input[name="methods"][value="reader"]')
    assert live_iou(page, "reader") == pytest.approx(overlap, abs=5.1e-4)


def test_rules_cut_where_they_say(open_page):
    page = open_page()
    otsu = shamsul.score(maps()["grad_cam", "Edema"], masks()["Edema", "one"])["iou"]
    assert live_iou(page, "grad_cam") == pytest.approx(otsu, abs=5.1e-4)
    assert ", Otsu" in told(page, "grad_cam")
    checked(page, 'input[name="rule"][value="tuned"]')
    assert "at 0.68, tuned" in told(page, "grad_cam")
    assert "Otsu (none is tuned)" in told(page, "lime")
    # A click on the curve chooses a threshold.
    page.click('.pane[data-method="lime"] .curve', position={"x": 60, "y": 20})
    # The controls follow in the next frame.
    page.wait_for_selector('input[name="rule"][value="fixed"]:checked', state="attached")
    chosen = float(page.text_content("#threshold-value"))
    assert 0 < chosen < 0.5 and f"at {chosen:.2f}" in told(page, "grad_cam")


def picture(page, method=""):
    return page.eval_on_selector(
        f'.pane[data-method="{method}"] .frame canvas', "canvas => canvas.toDataURL()"
    )


@pytest.mark.parametrize("name", ["map", "cut", "outlines", "point"])
def test_what_is_drawn_can_be_left_out(open_page, name):
    page = open_page()
    page.wait_for_timeout(200)
    before = picture(page, "grad_cam")
    box = page.locator(f'input[name="{name}"]')
    box.set_checked(False)
    page.wait_for_timeout(120)
    after = picture(page, "grad_cam")
    assert after != before
    box.set_checked(True)
    page.wait_for_timeout(120)
    assert picture(page, "grad_cam") == before


@pytest.mark.parametrize(
    ("name", "value"), [("opacity", 0.1), ("level", 60), ("window", 80), ("range", "shown")]
)
def test_sliders_and_lists_change_the_picture(open_page, name, value):
    page = open_page()
    page.wait_for_timeout(200)
    method = "lrp_z" if name != "range" else "lime"
    before = picture(page, method)
    choose(page, name, value)
    page.wait_for_timeout(250)
    assert picture(page, method) != before
    if name in ("level", "window"):
        page.click("#no-window")
        page.wait_for_timeout(250)
        assert picture(page, method) == before


def test_zoom_and_pan_go_together(open_page):
    page = open_page()
    page.wait_for_timeout(200)
    whole = {method: picture(page, method) for method in ("", "grad_cam", "lime")}
    page.click("#zoom-in")
    page.wait_for_timeout(150)
    enlarged = {method: picture(page, method) for method in whole}
    assert all(enlarged[method] != whole[method] for method in whole)
    box = page.locator('.pane[data-method="grad_cam"] .frame canvas').bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 90, steps=4)
    page.mouse.up()
    page.wait_for_timeout(150)
    assert all(picture(page, method) != enlarged[method] for method in whole)
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(150)
    assert float(page.text_content("#zoom-value")[:-1]) > 1.5
    page.click("#zoom-all")
    page.wait_for_timeout(150)
    assert {method: picture(page, method) for method in whole} == whole


def test_methods_stand_side_by_side_or_one_after_the_other(open_page):
    page = open_page()
    names = "panes => panes.map(pane => pane.dataset.method)"
    assert page.eval_on_selector_all(".pane", names) == ["", "grad_cam", "lrp_z", "lime"]
    page.click("#no-methods")
    page.wait_for_timeout(100)
    assert page.eval_on_selector_all(".pane", names) == [""]
    page.click("#all-methods")
    page.wait_for_timeout(100)
    assert page.locator(".pane").count() == 5
    checked(page, 'input[name="layout"][value="single"]')
    page.wait_for_timeout(100)
    seen = []
    for _ in range(4):
        seen.append(page.eval_on_selector_all(".pane", names)[-1])
        page.click("#next")
        page.wait_for_timeout(100)
    assert seen == ["grad_cam", "lrp_z", "lime", "reader"]
    assert page.eval_on_selector_all(".pane", names)[-1] == "grad_cam"
    page.click("#previous")
    page.wait_for_timeout(100)
    assert page.eval_on_selector_all(".pane", names)[-1] == "reader"


def test_keys_do_what_the_help_says(open_page):
    page = open_page()
    press = page.keyboard.press
    press("]")
    page.wait_for_timeout(80)
    assert page.text_content("#threshold-value") == "0.505"
    press("{")
    page.wait_for_timeout(80)
    assert page.text_content("#threshold-value") == "0.455"
    for key, name in (("m", "map"), ("s", "cut"), ("o", "outlines"), ("p", "point")):
        press(key)
        page.wait_for_timeout(80)
        assert not page.is_checked(f'input[name="{name}"]'), key
    press(".")
    page.wait_for_timeout(80)
    assert page.eval_on_selector('input[name="class"]:checked', "i => i.value") == HOSTILE
    press(",")
    press("ArrowRight")
    page.wait_for_timeout(80)
    assert page.is_checked('input[name="layout"][value="single"]')
    press("v")
    press("+")
    page.wait_for_timeout(80)
    assert page.is_checked('input[name="layout"][value="grid"]')
    assert page.text_content("#zoom-value") == "1.3×"
    page.focus('.pane[data-method="grad_cam"] .frame canvas')
    before = picture(page)
    press("ArrowDown")
    page.wait_for_timeout(80)
    assert picture(page) != before
    press("0")
    press("?")
    assert page.is_visible("#help")
    press("Escape")
    assert not page.is_visible("#help")


def test_the_keyboard_alone_reaches_everything(open_page):
    page = open_page()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => document.activeElement.id || document.activeElement.name"
                " || document.activeElement.tagName"
            )
        )
    assert reached >= {
        *("link", "show-help", "theme", "class", "rule", "threshold", "reader", "methods"),
        *("all-methods", "map", "cut", "outlines", "point", "opacity", "range", "level"),
        *("window", "no-window", "layout", "zoom-in", "zoom-out", "zoom-all", "CANVAS"),
        *("measures", "recorded", "SUMMARY"),
    }


def test_a_link_opens_the_same_view(open_page):
    page = open_page()
    choose(page, "threshold", 0.31)
    checked(page, "input[name='class'] >> nth=1")
    page.click("#zoom-in")
    page.wait_for_timeout(400)
    address = page.get_attribute("#link", "href")
    assert page.evaluate("location.hash") == address and "threshold=0.31" in address
    again = open_page(address)
    assert again.text_content("#threshold-value") == "0.310"
    assert again.eval_on_selector('input[name="class"]:checked', "i => i.value") == HOSTILE
    assert told(again, "lime") == told(page, "lime")
    again.evaluate("location.hash = 'class=Edema'")
    again.wait_for_timeout(200)
    assert again.eval_on_selector('input[name="class"]:checked', "i => i.value") == "Edema"
    assert again.text_content("#zoom-value") == "1.0×"


def test_names_that_try_to_be_markup_are_text(open_page):
    page = open_page()
    assert page.evaluate("window.hit") is None and page.locator("img").count() == 0
    assert page.text_content("h1") == f"p1 {HOSTILE}"
    assert HOSTILE in page.text_content("#classes")
    assert page.text_content('.pane[data-method="lime"] h2') == "lime <b>"


def test_the_table_has_what_the_run_recorded(open_page):
    page = open_page()
    assert page.text_content("#recorded tbody tr") == "grad_cam <b>0.125"
    checked(page, "input[name='class'] >> nth=1")
    page.wait_for_timeout(150)
    assert "recorded nothing" in page.text_content("#recorded")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_cut_off_and_nothing_is_inaccessible(open_page, width, scheme):
    page = open_page(width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 390:
        assert page.is_checked('input[name="layout"][value="single"]')
    if not AXE.is_file():
        pytest.skip("no axe-core; run `npm install` in tests/browser")
    for details in page.locator("details").all():
        details.evaluate("each => each.open = true")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    faults = [
        (each["id"], each["impact"], [node["html"][:120] for node in each["nodes"]])
        for each in found["violations"]
    ]
    assert not faults


def test_the_button_changes_between_light_and_dark(open_page):
    page = open_page()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != light
    page.click("#theme")
    assert page.evaluate(ground) == light


def test_print_shows_the_pictures_and_no_controls(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.is_visible("#controls") and not page.is_visible(".toolbar")
    assert page.is_visible('.pane[data-method="grad_cam"] .frame canvas') and page.is_visible(
        "#measures"
    )


def test_a_notebook_draws_it_in_a_frame(open_page, case, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{inline(case)}", encoding="utf-8")
    page = open_page(of=path)
    frame = page.frame_locator("iframe")
    frame.locator("#measures tbody tr").first.wait_for()
    assert "IoU" in frame.locator('.pane[data-method="lime"] .told').text_content()
    frame.locator("#zoom-in").click()
    page.wait_for_timeout(300)
    assert frame.locator("#zoom-value").text_content() == "1.3×"
