"""`deja serve` from outside: what it tells, what its verbs show, what happens when its children or it
itself are killed, and that it leaves nothing behind."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

import peers
from appliance import BIN, ROOT, Appliance, data_file, run

CONFIG = """
[appliance]
name = "served"
directory = "@DIRECTORY@"
profiles = 5000
shards = 4
huge_pages = "off"

[cpu]
ingest = [-1]
workers = [-1, -1]

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/served.sock", "127.0.0.1:0"]
console = "127.0.0.1:0"
@LISTEN@

[durability]
directory = "@DIRECTORY@/durable"
ack = "applied"
dedup_window = 1000

[events]
view = { track = "Product Viewed", item = "properties.product_id", price = "properties.price" }

[features]
views = { type = "count", event = "view" }
recent = { type = "recent", event = "view", of = "item", keep = 4 }
@FEATURES@
"""

SLOW = 5 if os.environ.get("DEJA_SANITIZE") else 1


def served(listen="", features="", **options):
    text = CONFIG.replace("[-1]", "[0]").replace("[-1, -1]", "[0, 0]")
    return Appliance(text, listen=listen, features=features, **options)


def view(appliance, user, item, headers=None, **more):
    status, answer, headers = appliance.post("/v1/track", {
        "userId": user, "event": "Product Viewed", "properties": {"product_id": item}, **more}, headers)
    assert status == 200, answer
    return headers


def console(appliance, path, headers=None):
    request = urllib.request.Request(f"http://{appliance.console}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(condition, seconds=20 * SLOW):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def children(appliance):
    """{name: pid}, from what the processes show of themselves."""
    return {process["name"]: process["pid"] for process in appliance.stat()["processes"]}


def runs(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_event_is_visible_everywhere_at_once():
    with served() as shop:
        assert shop.ready["name"] == "served"
        assert len(shop.streams) == 2 and not shop.streams[1].endswith(":0")
        headers = view(shop, "ada", "p1")
        profile = shop.profile("ada")
        assert profile["features"] == {"views": 1, "recent": ["p1"]}
        assert profile["user"] == "ada" and profile["late"] == 0
        assert {**shop.export()["ada"], "age_us": 0} == {**profile, "age_us": 0}
        assert "ada" in shop.deja("get", "ada").stdout

        status, body = console(shop, "/v1/profiles/ada",
                               {"Deja-Token": headers["Deja-Token"]})
        assert status == 200
        assert {**json.loads(body), "age_us": 0} == {**profile, "age_us": 0}
        status, body = console(shop, "/v1/profiles/ada?fields=views")
        assert json.loads(body)["features"] == {"views": 1}
        assert console(shop, "/v1/profiles/bob")[0] == 404
        assert shop.profile("bob") is None
        assert console(shop, "/v1/profiles/ada?fields=vews")[0] == 400
        assert console(shop, "/v1/profiles/ada?at=yesterday")[0] == 400
        assert console(shop, "/nowhere")[0] == 404
        assert console(shop, "/readyz")[0] == 200


def test_each_stage_of_an_event_s_way_is_timed():
    stages = {"receive_commit": "ingest", "commit_applied": "ingest", "applied_durable": "keeper",
              "durable_acked": "ingest", "applied_flushed": "keeper"}
    with served() as shop:
        view(shop, "ada", "p1")
        name = 'deja_event_stage_seconds{stage="%s"}'

        def counted(process, stage):
            processes = {process["name"]: process for process in shop.stat()["processes"]}
            return processes[process]["histograms"][name % stage]["count"]
        # Nobody has waited for a durable ack yet.
        eventually(lambda: all(counted(process, stage) > 0 for stage, process in stages.items()
                               if stage != "durable_acked"))
        assert counted("ingest", "durable_acked") == 0
        assert counted("ingest", "receive_commit") == 1
        assert counted("keeper", "applied_durable") == 1
        view(shop, "ada", "p2", headers={"Deja-Ack": "durable"})
        eventually(lambda: counted("ingest", "durable_acked") == 1)
        shown = shop.deja("stat").stdout
        metrics = console(shop, "/metrics")[1]
        for stage, process in stages.items():
            assert f'stage="{stage}"' in shown
            assert f'deja_event_stage_seconds_count{{process="{process}",stage="{stage}"}}' in metrics


def test_an_anonymous_visitor_is_found_as_anon():
    with served() as shop:
        status, answer, _ = shop.post("/v1/track", {
            "anonymousId": "x/1", "event": "Product Viewed", "properties": {"product_id": "p1"}})
        assert status == 200, answer
        assert shop.profile("anon:x/1")["user"] == "anon:x/1"
        assert console(shop, "/v1/profiles/anon:x%2F1")[0] == 200
        assert shop.profile("x/1") is None


def test_every_event_ends_in_one_counter_and_misspelt_names_are_found():
    with served() as shop:
        view(shop, "ada", "p1", messageId="m1")
        view(shop, "ada", "p1", messageId="m1")
        shop.post("/v1/track", {"userId": "ada", "event": "Product Veiwed"})
        shop.post("/v1/track", {"event": "Product Viewed"})
        shop.post("/v1/alias", {"userId": "ada", "previousId": "x"})
        totals = eventually(lambda: (t := shop.stat()["totals"])["on_their_way"] == 0 and t)
        assert totals == {"received": 5, "applied": 1, "duplicate": 1, "unmatched": 1, "alias": 1,
                          "abandoned": 0, "rejected": 1, "dead": 0, "on_their_way": 0}
        errors = json.loads(shop.deja("errors", "--json").stdout)
        assert any("Product Veiwed" in error["error"] and "Product Viewed" in error["error"]
                   for error in errors), errors
        text = shop.deja("stat").stdout
        assert "every event received is in one of these" in text


METRIC = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="(\\.|[^"\\])*",?)*\})? [-+0-9.e]+$')


def test_metrics_are_what_prometheus_reads():
    with served() as shop:
        view(shop, "ada", "p1")
        status, text = console(shop, "/metrics")
        assert status == 200
        families, samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE"):
                _, _, name, kind = line.split(" ")
                assert name not in families, f"{name} twice"
                families[name] = kind
            elif not line.startswith("#"):
                assert METRIC.match(line), line
                name, value = line.rsplit(" ", 1)
                assert name not in samples, f"{name} twice"
                labels = re.findall(r'([a-z_]+)="', name)
                assert len(labels) == len(set(labels)), line
                samples[name] = float(value)
        assert sum(value for name, value in samples.items()
                   if name.startswith("deja_events_applied_total")) == 1
        assert families["deja_event_visible_seconds"] == "histogram"
        assert any(name.startswith("deja_event_visible_seconds_bucket") and 'le="+Inf"' in name
                   and value == 1 for name, value in samples.items())


def test_read_keys_guard_profiles_and_a_write_key_never_reads():
    with served('write_keys = ["w-key"]\nread_keys = ["r-key"]') as shop:
        import base64
        basic = lambda key: {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
        assert console(shop, "/v1/profiles/ada")[0] == 401
        assert console(shop, "/v1/profiles/ada", basic("w-key"))[0] == 401
        assert console(shop, "/metrics", basic("w-key"))[0] == 401
        assert console(shop, "/v1/profiles/ada", basic("r-key"))[0] == 404
        assert console(shop, "/v1/profiles/ada", {"Authorization": "Bearer r-key"})[0] == 404
        assert console(shop, "/healthz")[0] == 200


@pytest.mark.parametrize("victim", ["worker-0", "worker-1", "ingest", "keeper", "console"])
def test_a_killed_child_is_started_again_and_events_go_on(victim):
    with served() as shop:
        for user in range(20):
            view(shop, f"u{user}", "before")
        old = children(shop)[victim]
        os.kill(old, signal.SIGKILL)
        eventually(lambda: children(shop)[victim] != old)
        for user in range(20):
            eventually(lambda: accepted(shop, f"u{user}", "after"))
        for user in range(20):
            features = eventually(lambda: (p := shop.profile(f"u{user}")) and
                                  p["features"]["recent"][:1] == ["after"] and p["features"])
            assert features["recent"] == ["after", "before"]
        eventually(lambda: console(shop, "/v1/profiles/u1")[0] == 200)
        assert f"{victim} (process {old}) was killed by signal 9" in shop.log_text()
        errors = json.loads(shop.deja("errors", "--json").stdout)
        assert any(victim in error["error"] for error in errors if error["process"] == "supervisor")


def accepted(shop, user, item):
    try:
        view(shop, user, item, messageId=f"{user}-{item}")
        return True
    except (OSError, AssertionError):
        return False


def test_stopping_leaves_nothing_behind_and_starting_again_has_it_all():
    shop = served()
    try:
        shop.start()
        for user in range(50):
            view(shop, f"u{user}", "p1")
        processes = children(shop)
        profiles = shop.export()
        assert shop.stop() == 0
        assert not shop.segment.exists()
        assert not (shop.directory / "served.sock").exists()
        left = {path.name for path in (shop.directory / "durable").iterdir()}
        assert left <= {"appendonlydir", "catalog", "dead_letters", "journal", "lock", "redis.log"}, left
        assert not [pid for pid in processes.values() if runs(pid)]

        shop.start()
        again = shop.export()
        strip = lambda all_: {user: {**p, "age_us": 0} for user, p in all_.items()}
        assert strip(again) == strip(profiles)
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_a_changed_config_says_what_it_keeps():
    shop = served()
    try:
        shop.start()
        view(shop, "ada", "p1")
        assert shop.stop() == 0
        text = shop.config.read_text().replace("keep = 4", "keep = 5")
        shop.config.write_text(text + '\ncheapest = { type = "min", event = "view", of = "price" }\n')
        shop.start()
        said = shop.ready["features"]
        assert "views" in said and "recent" in said and "cheapest" in said, said
        assert said in shop.log_text() and said in shop.deja("stat").stdout
        assert shop.profile("ada")["features"] == {"views": 1, "recent": [], "cheapest": None}
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_a_second_supervisor_of_the_name_is_refused_with_a_sentence():
    with served() as shop:
        second = run("deja", "serve", "-c", shop.config, check=False, timeout=30)
        assert second.returncode == 1
        assert f"(process {shop.process.pid}) already serves \"served\"" in second.stderr
        view(shop, "ada", "p1")
        assert shop.profile("ada")


def test_a_port_in_use_is_a_sentence_and_leaves_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shop = served()
        try:
            text = shop.config.read_text().replace('http = "127.0.0.1:0"',
                                                   f'http = "127.0.0.1:{port}"')
            shop.config.write_text(text)
            done = run("deja", "serve", "-c", shop.config, check=False, timeout=30)
            assert done.returncode == 1
            assert f"127.0.0.1:{port}" in done.stderr and "choose another port" in done.stderr
            assert not (shop.directory / "deja-served").exists()
            assert not (shop.directory / "served.sock").exists()
        finally:
            shop.clean_up()


def test_a_socket_file_of_a_dead_server_is_taken_over():
    shop = served()
    try:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(shop.directory / "served.sock"))
        shop.start()
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_a_missing_redis_server_is_a_sentence():
    with tempfile.TemporaryDirectory() as empty:
        shop = served(environment={"PATH": empty})
        try:
            done = subprocess.run([str(BIN / "deja"), "serve", "-c", str(shop.config)], text=True,
                                  capture_output=True, env=shop.environment, timeout=30)
            assert done.returncode == 1
            assert "apt install redis-server" in done.stderr
            assert not (shop.directory / "deja-served").exists()
        finally:
            shop.clean_up()


def test_a_broken_config_is_refused_with_its_place():
    shop = served(features='views2 = { type = "cuont", event = "view" }')
    try:
        done = run("deja", "serve", "-c", shop.config, check=False, timeout=30)
        assert done.returncode == 1
        assert re.search(r"served\.toml:\d+:\d+: .*cuont.*did you mean", done.stderr), done.stderr
    finally:
        shop.clean_up()


@pytest.mark.parametrize("arguments, status, said", [
    (["--version"], 0, "deja "),
    (["help"], 0, "serve"),
    (["help", "replay"], 0, "--map"),
    (["help", "relpay"], 2, "no verb"),
    (["frobnicate"], 2, "no verb"),
    (["sevre"], 2, "serve"),
    ([], 2, "subcommand"),
    (["get"], 2, "USER"),
    (["get", "x" * 65], 2, "64 bytes"),
    (["get", "ada", "--at", "soon"], 2, "RFC 3339"),
    (["get", "ada", "--name", "nobody-serves-this"], 1, "deja serve"),
    (["stat", "--name", "nobody-serves-this"], 1, "deja serve"),
    (["errors", "--name", "nobody-serves-this"], 1, "deja serve"),
    (["export", "--name", "nobody-serves-this"], 1, "deja serve"),
    (["serve", "-c", "/nowhere.toml"], 1, "/nowhere.toml"),
    (["replay", "x.csv", "--map", "/nowhere.toml"], 1, "/nowhere.toml"),
    (["replay", "x.csv", "--map", "m", "--speed", "fast"], 2, "--speed"),
    (["replay", "x.csv", "--map", "m", "--via", "pigeon"], 2, "pigeon"),
])
def test_every_mistake_has_its_status_and_its_sentence(arguments, status, said):
    done = run("deja", *arguments, check=False, timeout=30)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
    assert "\033" not in done.stdout + done.stderr, "colours only on a terminal"


def write_clicks(path, count):
    path.write_text("user,item,when\n" + "".join(
        f"u{number % 7},p{number},2026-01-0{1 + number % 5} 10:00:00\n" for number in range(count)))


MAP = """
format = "csv"
user = "user"
time = { column = "when", format = "%Y-%m-%d %H:%M:%S" }
[[event]]
track = "Product Viewed"
properties = { product_id = "item" }
"""


@pytest.mark.parametrize("via", ["http", "stream"])
def test_a_replay_counts_what_became_of_its_rows(via, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    data = tmp_path / "clicks.csv"
    write_clicks(data, 1000)
    with data.open("a") as file:
        file.write(",p1,2026-01-01 10:00:00\nu1,p1,yesterday\nu1,p1\n")
    with served() as shop:
        done = shop.deja("replay", data, "--map", tmp_path / "map.toml", "--via", via, "--json",
                         "--probes", "20")
        summary = json.loads(done.stdout)
        assert (summary["rows"], summary["sent"], summary["acked"]) == (1003, 1000, 1000)
        assert (summary["skipped"], summary["bad_time"], summary["unreadable"]) == (1, 1, 1)
        assert summary["rejected"] == 0 and summary["ack"] == "applied"
        assert summary["event_visible"]["probes"] == 20
        assert summary["event_visible"]["p50_ns"] <= summary["event_visible"]["p99_ns"]
        views = sum(p["features"]["views"] for user, p in shop.export().items()
                    if user != "deja-probe")
        assert views == 1000
        # The same file again changes nothing: ids.
        shop.deja("replay", data, "--map", tmp_path / "map.toml", "--via", via, "--probes", "0")
        totals = shop.stat()["totals"]
        assert totals["duplicate"] == 1000


def test_a_paced_replay_takes_its_time_and_shifts_to_now(tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    data = tmp_path / "clicks.csv"
    data.write_text("user,item,when\n" + "".join(
        f"u,p{second},2026-01-01 10:00:{second:02d}\n" for second in range(30)))
    with served() as shop:
        begin = time.monotonic()
        shop.deja("replay", data, "--map", tmp_path / "map.toml", "--speed", "30", "--shift", "now",
                  "--probes", "0")
        assert time.monotonic() - begin >= 29 / 30
        assert shop.profile("u")["features"]["views"] == 30


@pytest.mark.parametrize("file, map_name, rows, sent", [
    ("otto_sample.jsonl", "otto", 862, 862),
    ("sessions_test.tsv.xz", "sessions", 1233, 1233),
    ("online_retail.csv.xz", "online_retail", 20_000, None),
])
def test_the_sample_maps_fit_their_files(file, map_name, rows, sent):
    data = data_file(file)
    if data is None:
        peers.cannot(f"{file} is not there; set DEJA_DATA to the folder of the real data")
    with served() as shop:
        done = shop.deja("replay", data, "--map", ROOT / f"tools/sample/{map_name}.map.toml", "--json",
                         "--limit", "20000", "--probes", "0")
        summary = json.loads(done.stdout)
        assert summary["rows"] == rows
        assert summary["unreadable"] == summary["bad_time"] == summary["no_rule"] == 0
        assert summary["acked"] == summary["sent"] == (sent or rows - summary["skipped"])
