"""A headless Chromium, driven through chromedriver by the W3C's WebDriver protocol: no package is needed for it."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

DRIVER, CHROMIUM = shutil.which("chromedriver"), shutil.which("chromium")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key by which the protocol names elements


class Browser:
    """A window of a browser.

    Args:
      port: of the driver.
      size: (width, height) of the window.
      downloads: folder that files are saved to.
    """

    def __init__(self, port, size, downloads):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options = {
            "binary": CHROMIUM,
            "args": [*arguments, "--window-size={},{}".format(*size)],
            "prefs": {"download.default_directory": str(downloads)},
        }
        self._base = f"http://127.0.0.1:{port}"
        asked = {
            "capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        }
        self._base += f"/session/{self._call('POST', '/session', asked)['sessionId']}"

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def open(self, address):
        self._call("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        """What a script in the page returns; it may be a promise."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        return self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        """Types into an element; into a choice of files the path of one."""
        self._call("POST", f"/element/{self.find(selector)}/value", {"text": str(text)})

    def press(self, *keys):
        """Presses keys, of which the page's element that has the focus gets each."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def click(self, selector):
        self._call("POST", f"/element/{self.find(selector)}/click", {})

    def wait(self, condition, seconds=20):
        """Waits for a JavaScript expression to be true. Returns its value."""
        end = time.monotonic() + seconds
        while not (found := self.run(f"return {condition}")):
            assert time.monotonic() < end, f"it did not come: {condition}"
            time.sleep(0.05)
        return found

    def messages(self):
        """What the page has complained of on the console."""
        return self._call("POST", "/se/log", {"type": "browser"})

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._call("GET", "/screenshot")))

    def close(self):
        self._call("DELETE", "")


@contextlib.contextmanager
def browsing(port, size=(1100, 800)):
    """A `Browser` and its folder of downloads, which are gone at the end. `port`: a free one, for the driver."""
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as downloads:
        try:
            browser = _started(port, size, downloads)
            try:
                yield browser, downloads
            finally:
                browser.close()
        finally:
            driver.terminate()
            driver.wait()


def _started(port, size, downloads):
    for _ in range(100):
        try:
            return Browser(port, size, downloads)
        except urllib.error.URLError:  # the driver is not there yet
            time.sleep(0.1)
    raise AssertionError("chromedriver does not start")
