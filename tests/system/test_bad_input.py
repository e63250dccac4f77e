"""Hostile and mistaken input, by tables: every line gets its exact, documented answer; the good events
of the same connection and of everybody else are intact; and every received event ends in exactly one
counter, which is looked at behind every line."""

import json
import os
import time
from random import Random

import pytest

import bad_input_capnp as capnp
import bad_input_events as events
import bad_input_files as files
import bad_input_http as http
import bad_input_stream as stream
from appliance import run
from bad_input_case import run_case
from bad_input_shop import MATE, Answer, Shop, StreamWire, Wire, event, request

HTTP_CLASSES = {
    "method-and-path": http.METHOD_AND_PATH,
    "json": events.JSON,
    "types": events.TYPES,
    "sizes": events.SIZES,
    "encodings": events.ENCODINGS,
    "truncation": http.TRUNCATION,
    "pipelined-garbage": http.PIPELINED_GARBAGE,
    "length-and-coding": http.LENGTH_AND_CODING,
    "nesting": events.NESTING,
    "timestamps": events.TIMESTAMPS,
    "compression": events.COMPRESSION,
    "versions": http.VERSIONS,
}


STREAM_CLASSES = {
    "frames": stream.FRAMES,
    "messages": stream.MESSAGES,
    "versions": stream.STREAM_VERSIONS,
    "events": stream.EVENTS,
}


@pytest.fixture(scope="module")
def shop():
    with Shop("bad") as served:
        yield served


@pytest.fixture(scope="module")
def keyed_shop():
    with Shop("keyed", key=http.KEY) as served:
        yield served


def run_table(shop, cases, run=run_case):
    faults = []
    for case in cases:
        try:
            run(shop, case)
        except (AssertionError, OSError) as fault:
            faults.append(f"{case.name}: {fault!r}")
            shop.start_the_books_again()
    assert not faults, "\n".join(faults)
    shop.expect_profiles()


@pytest.mark.parametrize("name", HTTP_CLASSES)
def test_bad_requests_are_refused_and_hurt_nobody(shop, name):
    assert len(HTTP_CLASSES[name]) >= 5
    run_table(shop, HTTP_CLASSES[name])


def test_wrong_keys_are_refused_and_hurt_nobody(keyed_shop):
    run_table(keyed_shop, http.KEYS)
    run_table(keyed_shop, stream.STREAM_KEYS, stream.run_stream_case)


@pytest.mark.parametrize("name", STREAM_CLASSES)
def test_bad_frames_are_refused_and_hurt_nobody(shop, name):
    assert len(STREAM_CLASSES[name]) >= 5
    run_table(shop, STREAM_CLASSES[name], stream.run_stream_case)


@pytest.fixture
def config(tmp_path):
    """Writes a config and says what `verb` makes of it: (status, what is said, its path)."""

    def tried(text, verb):
        path = tmp_path / "wrong.toml"
        head = files.CONFIG_HEAD.replace("@DIRECTORY@", str(tmp_path))
        path.write_text(head + text + "\n")
        done = run("deja", verb, "-c", path, check=False, timeout=30)
        assert not (tmp_path / "deja-wrong").exists(), "it was served all the same"
        return done.returncode, done.stderr, path

    return tried


@pytest.mark.parametrize("verb", ["validate", "serve"])
def test_every_mistake_of_a_config_has_its_place_and_its_remedy(shop, config, verb):
    faults = []
    for text, said in files.CONFIG_MISTAKES:
        status, errors, path = config(text, verb)
        if (status, errors) != (1, f"{path}:{said}\n"):
            faults.append(f"{text!r}: {status}: {errors}")
    for text, place in files.TOML_MISTAKES:
        status, errors, path = config(text, verb)
        if status != 1 or not errors.startswith(f"{path}:{place}") or errors.count("\n") != 1:
            faults.append(f"{text!r}: {status}: {errors}")
    assert not faults, "\n".join(faults)
    status, errors, path = config(files.SEVERAL, verb)
    assert status == 1
    assert [line.split(": ")[0] for line in errors.splitlines()[:3]] == [
        f"{path}:4:12", f"{path}:5:10", f"{path}:7:7"]
    shop.neighbours_go_on()


def test_a_config_s_own_test_fails_with_both_values(config):
    status, _, path = config(files.EVENTS + 'n = { type = "count", event = "view" }\n[[test]]\n'
                             'name = "two"\nsend = ["view"]\nexpect = { n = 2 }', "validate")
    assert status == 1
    said = json.loads(run("deja", "validate", "-c", path, "--json", check=False).stdout)
    assert said["ok"] is False and said["errors"] == []
    assert said["tests"] == [{"name": "two", "line": 8, "passed": False, "mismatches": [
        {"feature": "n", "expected": 2, "seen": 1}]}]


def replay(shop, tmp_path, map_text, data_name, data, *arguments):
    (tmp_path / "map.toml").write_text(map_text)
    path = tmp_path / (data_name or "data.csv")
    path.unlink(missing_ok=True)
    if data_name:
        path.write_bytes(data)
    return shop.appliance.deja("replay", path, "--map", tmp_path / "map.toml", "--probes", "0",
                               *arguments, check=False)


@pytest.mark.parametrize("via", ["http", "stream"])
def test_every_mistake_of_a_replay_map_has_its_place(shop, tmp_path, via):
    faults = []
    for text, said in files.MAP_MISTAKES:
        data = (files.HEADER + files.GOOD_ROW).encode()
        done = replay(shop, tmp_path, text, "data.csv", data, "--via", via)
        wanted = f"deja: {tmp_path}/map.toml:" + said.replace("@DATA@", f"{tmp_path}/data.csv")
        if done.returncode != 1 or not done.stderr.startswith(wanted):
            faults.append(f"{wanted}\n  {done.returncode}: {done.stderr}")
    for name, data, said in files.BAD_FILES:
        done = replay(shop, tmp_path, files.MAP, name, data, "--via", via)
        if done.returncode != 1 or said not in done.stderr or done.stderr.count("\n") != 1:
            faults.append(f"{said}: {done.returncode}: {done.stderr}")
    assert not faults, "\n".join(faults)
    shop.neighbours_go_on()
    shop.start_the_books_again()


@pytest.mark.parametrize("via", ["http", "stream"])
def test_a_replay_counts_bad_rows_and_sends_the_others(shop, tmp_path, via):
    for number, (about, text, name, data, counts) in enumerate(files.BAD_ROWS):
        rejects = counts.get("rejected", {})
        good = 2 + counts.get("good", 0)
        shop.neighbours_go_on()
        done = replay(shop, tmp_path, text, name, data.replace(b"@", b"\xff"), "--via", via,
                      "--json", "--id-prefix", f"{via}-{number}-")
        found = json.loads(done.stdout)
        bad = {key: counts.get(key, 0) for key in ("skipped", "no_rule", "bad_time", "unreadable")}
        assert {key: found[key] for key in bad} == bad, f"{about}: {found} {done.stderr}"
        assert found["rejects"] == rejects, f"{about}: {found}"
        assert (found["sent"], found["acked"]) == (good + sum(rejects.values()), good), about
        assert found["rows"] == found["sent"] + sum(bad.values()), about
        assert done.returncode == (1 if rejects else 0), about
        for code, count in rejects.items():
            shop.count("rejected", count, code)
        shop.counted("mate", good)
        shop.neighbours_go_on()
        shop.expect_counts()
    shop.expect_profiles()


def test_a_message_that_points_to_the_same_bytes_again_is_refused_early(shop):
    """A frame of 40 KB that reads as 3 MB: what is within twice its bytes is taken, the rest is not."""
    with StreamWire(shop.stream) as wire:
        wire.greet()
        wire.sequence = 1
        wire.send(stream.repeating_frame(1, user=MATE, events=100, text_bytes=30000))
        reply = wire.read()
        codes = [entry["code"] for entry in reply["rejects"]]
        taken = 100 - len(codes)
        assert 1 <= taken <= 3 and codes == ["bad_message"] * len(codes), reply
        shop.count("rejected", len(codes), "bad_message")
        shop.counted(MATE, taken)
        shop.good_stream(wire, "same-connection")
    shop.neighbours_go_on()
    shop.expect_counts()
    shop.expect_profiles()


def test_a_request_in_single_bytes_is_a_request(shop):
    with Wire(shop.http) as wire:
        for at in range(3):
            bytes_ = shop.good_request(MATE)
            for number in range(len(bytes_)):
                wire.send(bytes_[number:number + 1])
            wire.expect(Answer(200))
            shop.counted(MATE)
    shop.expect_counts()


def test_the_same_message_again_changes_nothing(shop):
    again = request(event(MATE, messageId="the-same"))
    with Wire(shop.http) as wire, StreamWire(shop.stream) as stream_wire:
        for _ in range(3):
            wire.send(again)
            wire.expect(Answer(200))
        stream_wire.greet()
        reply = stream_wire.batch(capnp.event(user=MATE, message_id="the-same"))
        assert reply["rejects"] == [], reply
    shop.counted(MATE)
    shop.count("duplicate", 3)
    shop.expect_counts()
    shop.expect_profiles()


def test_a_misspelt_event_is_found_with_the_name_that_was_meant(shop):
    with Wire(shop.http) as wire, StreamWire(shop.stream) as stream_wire:
        stream_wire.greet()
        for name in ("Product Veiwed", "Order Complete", "no such thing"):
            wire.send(request(event(event=name)))
            wire.expect(Answer(200))
            reply = stream_wire.batch(capnp.event(name=name))
            assert reply["kind"] == "ack" and not reply["rejects"] and not reply["token"], reply
    shop.count("unmatched", 6)
    shop.neighbours_go_on()
    shop.expect_counts()
    shop.expect_profiles()
    errors = {entry["error"]: entry["count"]
              for entry in json.loads(shop.appliance.deja("errors", "--json").stdout)
              if entry["process"].startswith("ingest")}
    assert errors["no event matches track 'Product Veiwed'; nearest declared: 'Product Viewed'"] == 2
    assert errors["no event matches track 'Order Complete'; nearest declared: 'Order Completed'"] == 2
    assert errors["no event matches track 'no such thing'"] == 2
    said = shop.appliance.deja("errors").stdout
    assert "'Product Veiwed'; nearest declared: 'Product Viewed'" in said


def damaged(random, data):
    """The bytes with a few of them changed, lost, doubled or cut off."""
    data = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        match random.randrange(5):
            case 0:
                data[at] = random.randrange(256)
            case 1:
                data[at] ^= 1 << random.randrange(8)
            case 2:
                del data[at:at + random.randint(1, 8)]
            case 3:
                data[at:at] = data[at:at + random.randint(1, 64)]
            case 4:
                del data[at + 1:]
        if not data:
            return b""
    return bytes(data)


@pytest.mark.parametrize("over", ["http", "stream"])
def test_random_damage_hurts_nobody(shop, over):
    seed = int(os.environ.get("DEJA_SEED", time.time_ns()))
    print(f"DEJA_SEED={seed}")
    random = Random(seed)
    goods = [request({"batch": [{"type": "track", **event("damaged")} for _ in range(3)]},
                     target="/v1/batch"),
             request(event("damaged", event="Order Completed", properties=events.products(5)))]
    if over == "stream":
        goods = [capnp.hello_frame() + capnp.batch_frame(number, [
            capnp.event(user="damaged", properties={"price": 1, "products": [{"id": "p"}] * 3}),
            capnp.event("page", user="damaged", context={"page": {"path": "/"}})])
            for number in (1, 2)]
    for number in range(300):
        with Wire(shop.stream if over == "stream" else shop.http) as wire:
            bad = damaged(random, random.choice(goods))
            wire.send(bad)
            try:
                wire.end()
                while wire.socket.recv(65536):
                    pass
            except ConnectionError:
                pass
            except TimeoutError:
                raise AssertionError(f"neither an answer nor an end for {bad!r}") from None
        if number % 10 == 0:
            shop.neighbours_go_on()
    shop.neighbours_go_on()
    before = dict(shop.views)
    shop.start_the_books_again()
    for user in ("neighbour", "stream-neighbour"):
        assert shop.views[user] == before[user], user
    processes = {entry["name"]: entry["starts"] for entry in shop.appliance.stat()["processes"]}
    assert set(processes.values()) == {1}, processes
