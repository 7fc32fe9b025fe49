"""The page in a headless Chromium, with a fake model behind it; skipped where there is no Chromium or chromedriver."""

import json
import socket
from pathlib import Path

import browser
import cv2
import numpy as np
import pytest
from browser import browsing
from fake_model import SPEC
from photos import picture
from served import png, serving, tiff, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (browser.DRIVER and browser.CHROMIUM), reason="needs chromium and chromedriver"),
]
IMAGE = picture(40, 60)
CLASSES = IMAGE[..., 0] % 3
READY = "!document.getElementById('panel').hidden && document.getElementById('status').textContent.includes('pixels')"
TAB, SPACE = "\ue004", " "


@pytest.fixture(scope="module")
def windows():
    """(server, browser, folder of downloads)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving() as server, browsing(port) as (window, downloads):
        yield server, window, Path(downloads)


@pytest.fixture
def page(windows):
    server, window, _ = windows
    window.open("http://{}:{}/".format(*server.address))
    window.wait("document.getElementById('about').textContent.includes('3 bands')")
    yield window
    severe = [line["message"] for line in window.messages() if line["level"] == "SEVERE"]
    assert not [message for message in severe if "status of 4" not in message]


def choose(page, path, body):
    path.write_bytes(body)
    page.type("#file", path)


def drawn(page):
    """[H, W, 4] of the canvas of the classes."""
    script = """
        const canvas = document.getElementById("labels");
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.height, canvas.width, Array.from(data)];
    """
    height, width, values = page.run(script)
    return np.array(values, np.uint8).reshape(height, width, 4)


def expected(*on):
    """What `drawn` is with these classes switched on."""
    colours = np.zeros((3, 4), np.uint8)
    for number in on:
        colours[number] = (*SPEC.palette[number], 255)
    return colours[CLASSES]


def saved(windows, name):
    path = windows[2] / name
    wait_for(path.is_file)
    return path.read_bytes()


def test_an_image_is_chosen_its_classes_appear_and_are_switched(page, tmp_path):
    choose(page, tmp_path / "a.png", png(IMAGE))
    page.wait(READY)
    np.testing.assert_array_equal(drawn(page), expected(0, 1, 2))
    names = page.run("return [...document.querySelectorAll('.name')].map((one) => one.textContent)")
    shares = page.run("return [...document.querySelectorAll('.share')].map((one) => one.textContent)")
    assert names == list(SPEC.classes)
    assert shares == [f"{100 * np.mean(number == CLASSES):.1f} %" for number in range(3)]
    page.click("#classes li:nth-child(2) input")
    np.testing.assert_array_equal(drawn(page), expected(0, 2))
    page.click("#none")
    assert not drawn(page).any()
    page.click("#all")
    np.testing.assert_array_equal(drawn(page), expected(0, 1, 2))


def test_by_keyboard_alone(page, tmp_path):
    choose(page, tmp_path / "a.png", png(IMAGE))
    page.wait(READY)
    page.run("document.getElementById('file').focus()")
    page.press(TAB, "\ue014", "\ue014")  # to the slider, and two to the right
    assert page.run("return [document.activeElement.id, document.activeElement.value]") == ["opacity", "52"]
    assert page.run("return document.getElementById('labels').style.opacity") == "0.52"
    page.press(TAB, TAB, TAB, SPACE)  # past "All" and "None", to the first class
    np.testing.assert_array_equal(drawn(page), expected(1, 2))
    seen = page.run("const one = document.activeElement; return getComputedStyle(one).outlineStyle")
    assert seen == "solid"


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(page, event):
    script = """
        const [event, bytes] = arguments;
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(bytes)], "b.png"));
        const made = event === "drop" ? new DragEvent("drop", {dataTransfer: files, bubbles: true})
                                      : new ClipboardEvent("paste", {clipboardData: files, bubbles: true});
        document.body.dispatchEvent(made);
    """
    page.run(script, event, list(png(IMAGE)))
    page.wait(READY)
    np.testing.assert_array_equal(drawn(page), expected(0, 1, 2))


def test_what_a_browser_cannot_read_is_shown_as_the_server_reads_it(page, tmp_path):
    choose(page, tmp_path / "a.tif", tiff(IMAGE.transpose(2, 0, 1)))
    page.wait(READY)
    np.testing.assert_array_equal(drawn(page), expected(0, 1, 2))
    script = """
        const canvas = document.getElementById("photo");
        return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
    """
    np.testing.assert_array_equal(np.reshape(page.run(script), (40, 60, 4))[..., :3], IMAGE)


def test_what_is_saved(page, windows, tmp_path):
    choose(page, tmp_path / "c.png", png(IMAGE))
    page.wait(READY)
    page.click("#classes li:nth-child(1) input")
    page.click("#save")
    shown = cv2.imdecode(np.frombuffer(saved(windows, "c_shown.png"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    half = np.where((CLASSES > 0)[..., None], (IMAGE + np.array(SPEC.palette)[CLASSES]) / 2, IMAGE)
    assert np.abs(shown - half).max() <= 2
    page.run("document.getElementById('kind').value = 'label'")
    page.click("#save")
    labels = cv2.imdecode(np.frombuffer(saved(windows, "c_label.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, np.array(SPEC.label_ids)[CLASSES])
    page.run("document.getElementById('kind').value = 'json'")
    page.click("#save")
    assert json.loads(saved(windows, "c_json.json"))["width"] == 60


def test_an_error_is_a_line_and_the_next_image_clears_it(page, tmp_path):
    choose(page, tmp_path / "a.png", b"no image")
    told = page.wait("!document.getElementById('error').hidden && document.getElementById('error').textContent")
    assert told.startswith("the body is no PNG, JPEG or TIFF") and "\n" not in told
    choose(page, tmp_path / "b.png", png(IMAGE))
    page.wait(READY)
    assert page.run("return document.getElementById('error').hidden")


def test_names_are_of_the_network_that_answers(page, tmp_path):
    page.run("model = {classes: [{name: 'of another', color: [1, 2, 3]}]}")  # which was served when the page was opened
    choose(page, tmp_path / "a.png", png(IMAGE))
    page.wait(READY)
    names = page.run("return [...document.querySelectorAll('.name')].map((one) => one.textContent)")
    assert names == list(SPEC.classes)


def test_on_a_phone_nothing_is_wider_than_the_screen(windows, tmp_path):
    server, window, _ = windows
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with browsing(port, size=(500, 800)) as (phone, _):
        phone.open("http://{}:{}/".format(*server.address))
        choose(phone, tmp_path / "a.png", png(IMAGE))
        phone.wait(READY)
        assert phone.run("return document.documentElement.scrollWidth <= window.innerWidth")
        below = "document.getElementById('panel').getBoundingClientRect().top"
        assert phone.run(f"return {below} >= document.getElementById('view').getBoundingClientRect().bottom")
