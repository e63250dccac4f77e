"""Official SDKs, unchanged but for the host, against a real appliance; the profiles show what they
sent."""

import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest

import peers
from appliance import Appliance

HERE = pathlib.Path(__file__).parent / "clients"
KEY = "shop-write-key"
CONFIG = """
[appliance]
name = "clients"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/clients.sock"]
console = "127.0.0.1:0"
write_keys = ["env:TEST_WRITE_KEY"]

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", item = "properties.product_id", price = "properties.price" }
cart = { track = "Product Added", price = "properties.price" }
visit = { page = "*" }

[features]
views = { type = "count", event = "view" }
recent = { type = "recent", event = "view", of = "item", keep = 4 }
spend = { type = "sum", event = "view", of = "price" }
carts = { type = "count", event = "cart" }
pages = { type = "count", event = "visit" }
plan = { type = "trait", of = "traits.plan" }
"""


@pytest.fixture(scope="module")
def modules():
    """node_modules as the lock file says, kept in the build folder."""
    peers.need("node", "npm", package="nodejs npm")
    build = pathlib.Path(os.environ.get("DEJA_BUILD_DIR", tempfile.gettempdir())).parent / "clients"
    build.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = build / "installed.json"
    if not stamp.exists() or stamp.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, build)
        peers.fetch(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=build)
        stamp.write_bytes(lock)
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, build)
    return build


@pytest.fixture(scope="module")
def shop():
    with Appliance(CONFIG, environment={"TEST_WRITE_KEY": KEY}) as appliance:
        yield appliance


def eventually(look, seconds=20):
    deadline = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def node(modules, script, shop):
    done = subprocess.run(["node", script, f"http://{shop.http}", KEY], cwd=modules, text=True,
                          capture_output=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr


def test_segment_s_node_sdk(modules, shop):
    node(modules, "segment.mjs", shop)
    features = shop.profile("segment-node")["features"]
    assert features["views"] == 30
    assert sorted(features["recent"]) and len(features["recent"]) == 4
    assert features["spend"] == sum(10 + view for view in range(30))
    assert features["pages"] == 1
    assert features["plan"] == "gold"
    assert features["carts"] == 1, "a resend of the same messageId changed something"
    assert shop.stat()["totals"]["duplicate"] == 2


def test_rudderstack_s_node_sdk_with_gzip_and_a_form_content_type(modules, shop):
    node(modules, "rudder.mjs", shop)
    features = shop.profile("rudder-node")["features"]
    assert features["views"] == 18
    assert features["spend"] == sum(20 + view for view in range(18))
    assert features["pages"] == 1
    assert features["carts"] == 1
    assert features["plan"] == "silver"


class Storefront(http.server.SimpleHTTPRequestHandler):
    """Serves the page and the SDK from another origin than the appliance's, so CORS is real."""

    reports = []
    modules = None

    def translate_path(self, path):
        path = urllib.parse.urlparse(path).path
        if path.startswith("/umd/"):
            umd = self.modules / "node_modules/@segment/analytics-next/dist/umd"
            return str(umd / pathlib.PurePath(path).name)
        return str(HERE / "page.html")

    def do_GET(self):
        if self.path.startswith("/report?"):
            self.reports.append(urllib.parse.unquote(self.path.split("?", 1)[1]))
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


def test_segment_s_browser_sdk_in_a_real_browser(modules, shop):
    chromium = shutil.which("chromium")
    if not chromium:
        cannot("no chromium; apt-get install chromium")
    Storefront.modules = modules
    Storefront.reports.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storefront)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = tempfile.mkdtemp(prefix="deja-chromium-")
    fragment = urllib.parse.quote(f"{shop.http} {KEY}")
    browser = subprocess.Popen(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-port=0",
         f"http://127.0.0.1:{server.server_port}/#{fragment}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: Storefront.reports, 60), "the page reported nothing"
        assert Storefront.reports[0].startswith("sent "), Storefront.reports
        anonymous = Storefront.reports[0].split(" ", 1)[1].strip('"')
        seen = eventually(lambda: (shop.profile("segment-browser") or {"features": {"carts": 0}})
                          ["features"]["carts"])
        features = shop.profile("segment-browser")["features"]
        assert seen == 1, features
        assert features["views"] == 2
        assert features["recent"] == ["b2", "b1"]
        assert features["pages"] == 1
        assert features["plan"] == "bronze"
        assert shop.profile(f"anon:{anonymous}") is None, "a known user's events went elsewhere"
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        shutil.rmtree(profile, ignore_errors=True)


def test_a_wrong_key_is_refused(shop):
    event = {"userId": "u", "event": "Product Viewed"}
    status, answer, _ = shop.post("/v1/track", {**event, "writeKey": "wrong"})
    assert status == 401 and answer["error"]["code"], answer
    assert shop.profile("u") is None
    status, _, _ = shop.post("/v1/track", {**event, "writeKey": KEY})
    assert status == 200
