"""The console's live page in a real browser, and the routes that it is made of. Pictures of it are
kept where DEJA_PAGE_PICTURES names a folder."""

import base64
import json
import os
import pathlib
import signal
import threading
import urllib.error
import urllib.request

import pytest

import peers
from appliance import Appliance
from browser import Browser
from traffic import Client, eventually, processes, track
from watched import watched_config

CONFIG = watched_config("page", "stream = []\n@LISTEN@")


def get(shop, path, headers=None):
    """(status, body, headers)"""
    request = urllib.request.Request(f"http://{shop.console}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


class Load:
    """Events, a batch after the other, each twice, while it is entered; one in ten is rejected."""

    def __init__(self, shop):
        self.shop = shop
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.send)

    def send(self):
        number = 0
        with Client(self.shop.http) as client:
            while not self.stop.wait(0.005):
                events = []
                for _ in range(10):
                    number += 1
                    user = f"u{number % 500}" if number % 10 else ""
                    events += [track(user, "Product Viewed", f"m{number}", product_id="p1")] * 2
                try:
                    client.post("/v1/batch", {"batch": events})
                except OSError:
                    return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.fixture(scope="module")
def shop():
    with Appliance(CONFIG, listen="") as appliance:
        yield appliance


@pytest.fixture(scope="module")
def browser():
    peers.need("chromium", package="chromium")
    with Browser() as opened:
        yield opened


def keep_picture(page, name):
    if folder := os.environ.get("DEJA_PAGE_PICTURES"):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        page.picture(pathlib.Path(folder) / f"{name}.png")


def test_stat_over_http_is_what_the_verb_says(shop):
    status, body, headers = get(shop, "/v1/stat")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    over_http, by_verb = json.loads(body), shop.stat()

    def shape(value):
        if isinstance(value, dict):
            return {key: shape(part) for key, part in value.items()
                    if key not in ("counters", "histograms")}
        return [shape(part) for part in value] if isinstance(value, list) else type(value) in (int, float)
    assert shape(over_http) == shape(by_verb)
    assert {process["health"] for process in over_http["processes"]} == {"alive"}


def test_a_file_of_the_page_is_sent_once_and_then_known_by_its_tag(shop):
    for path, kind in (("/", "text/html"), ("/page/main.mjs", "text/javascript"),
                       ("/page/page.css", "text/css"), ("/page/icon.svg", "image/svg+xml"),
                       ("/page/vendor/uPlot.esm.js", "text/javascript"),
                       ("/page/vendor/LICENSE", "text/plain")):
        status, body, headers = get(shop, path)
        assert status == 200 and body, path
        assert headers["Content-Type"].startswith(kind)
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        status, again, _ = get(shop, path, {"If-None-Match": headers["ETag"]})
        assert (status, again) == (304, b"")
        assert get(shop, path, {"If-None-Match": '"another"'})[0] == 200
    assert get(shop, "/page/")[0] == 404
    assert get(shop, "/page/../main.mjs")[0] == 404


def test_the_source_s_bytes_are_what_is_sent(shop):
    folder = pathlib.Path(__file__).resolve().parents[2] / "tools/console/page"
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "index.html":
            assert get(shop, f"/page/{path.relative_to(folder)}")[1] == path.read_bytes(), path
    assert get(shop, "/")[1] == (folder / "index.html").read_bytes()


def test_page_and_stat_want_the_read_key():
    with Appliance(CONFIG, listen='read_keys = ["env:TEST_READ_KEY"]\nwrite_keys = ["env:TEST_WRITE_KEY"]',
                   environment={"TEST_READ_KEY": "reads", "TEST_WRITE_KEY": "writes"}) as shop:
        for path in ("/", "/page/main.mjs", "/v1/stat"):
            status, _, headers = get(shop, path)
            assert status == 401 and headers["WWW-Authenticate"].startswith("Basic"), path
            basic = base64.b64encode(b"reads:").decode()
            assert get(shop, path, {"Authorization": f"Basic {basic}"})[0] == 200
            assert get(shop, path, {"Authorization": "Bearer reads"})[0] == 200
            assert get(shop, path, {"Authorization": "Bearer writes"})[0] == 401


def clipped_tables(page):
    return page.evaluate("[...document.querySelectorAll('.table')].filter(box => "
                         "box.scrollWidth > box.clientWidth).map(box => box.firstElementChild.id)")


RATE = "document.querySelector('#rates div:nth-child({}) dd')?.textContent"


def test_values_move_under_load_on_every_width_and_scheme(shop, browser):
    with Load(shop):
        page = browser.open(f"http://{shop.console}/")
        for number in range(1, 6):  # received, accepted, applied, duplicates, rejected
            page.eventually(f"parseFloat({RATE.format(number)}) > 0")
        first = page.eventually("document.querySelector('#totals dd')?.textContent")
        page.eventually(f"document.querySelector('#totals dd')?.textContent !== {json.dumps(first)}")
        page.eventually("[...document.querySelectorAll('#latency tbody tr')].some(row => "
                        "row.cells[0].textContent === 'receive → visible' && / [µm]?s$/.test(row.cells[2].textContent))")
        where = page.evaluate("[...document.querySelectorAll('#lag tbody th')].map(cell => cell.textContent)")
        assert where == ["ring-0-0", "ring-0-1", "log-0", "log-1", "journal", "redis"]
        assert page.evaluate("[...document.querySelectorAll('#processes tbody th')].map(c => c.textContent)") == [
            "supervisor", "ingest", "keeper", "console", "worker-0", "worker-1"]
        page.eventually("/now received [1-9]/.test(document.querySelector('#rates-plot [role=img]')?.ariaLabel)")
        browser.listen(6)
        for dark in (False, True):
            page.scheme(dark)
            for width in (1280, 390):
                page.resize(width)
                browser.listen(1.5)
                scroll = page.evaluate("document.documentElement.scrollWidth")
                assert scroll <= width, f"{scroll} px wide at {width}"
                assert clipped_tables(page) == [], width
                keep_picture(page, f"{'dark' if dark else 'light'}-{width}")
    assert page.complaints == []


def test_everything_has_a_name(shop, browser):
    page = browser.open(f"http://{shop.console}/")
    page.eventually("document.querySelectorAll('#processes tbody tr').length > 0")
    names = page.names()
    for role in ("table", "image", "meter", "region"):
        named = [name for kind, name in names if kind == role]
        assert named and all(named), f"{role}: {named}"
    assert ("heading", "page") in names
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_killed_and_a_stopped_worker_are_red(shop, browser):
    page = browser.open(f"http://{shop.console}/", width=360)  # a small phone: red is bold, and wider
    bad = "document.querySelector('#processes tr.bad')?.textContent ?? ''"
    page.eventually("document.querySelectorAll('#processes tbody tr').length === 6")
    assert page.evaluate(bad) == ""
    os.kill(processes(shop)["worker-0"], signal.SIGKILL)
    page.eventually(f"({bad}).startsWith('worker-0restarted')")
    colour = page.evaluate("getComputedStyle(document.querySelector('#processes tr.bad td')).color")
    assert colour == "rgb(185, 28, 28)"
    keep_picture(page, "killed-worker")
    stopped = processes(shop)["worker-1"]
    os.kill(stopped, signal.SIGSTOP)
    try:
        page.eventually("[...document.querySelectorAll('#processes tr.bad')].some("
                        "row => row.textContent.startsWith('worker-1silent'))")
        assert clipped_tables(page) == []
        keep_picture(page, "stopped-worker")
    finally:
        try:
            os.kill(stopped, signal.SIGCONT)
        except ProcessLookupError:
            pass  # the supervisor was quicker
    eventually(lambda: {process["health"] for process in shop.stat()["processes"]} <= {"alive", "restarted"})
    assert page.complaints == []


def test_a_console_that_is_gone_is_said(browser):
    with Appliance(CONFIG, listen="") as shop:
        page = browser.open(f"http://{shop.console}/")
        page.eventually("document.querySelectorAll('#processes tbody tr').length > 0")
    page.eventually("/^No news for/.test(document.getElementById('trouble').textContent)")
    assert page.evaluate("document.getElementById('trouble').getAttribute('role')") == "alert"
