"""One client that sends too much, opens too much, is too slow: it is refused, over real sockets, and
its neighbours are served. And nothing that is somebody's own is ever printed: no key, no id, no
token, no value in a log line, an error or a metric."""

import base64
import json
import socket
import time
import urllib.request

import bad_input_capnp as capnp
from appliance import Appliance, run
from traffic import eventually, track

CONFIG = """
[appliance]
name = "neighbour"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4
huge_pages = "off"

[cpu]
workers = 1

[listen]
http = "127.0.0.1:0"
stream = ["127.0.0.1:0"]
console = "127.0.0.1:0"
@LISTEN@

[durability]
directory = "@DIRECTORY@/durable"
ack = "applied"
dedup_window = 10_000

[events]
view = { track = "Product Viewed", item = "properties.item", price = "properties.price" }
club = { group = "Firm", city = "traits.city" }

[features]
views = { type = "count", event = "view" }
spend = { type = "sum", event = "view", of = "price" }
last  = { type = "last", event = "view", of = "item" }
plan  = { type = "trait", of = "traits.plan" }
"""


def shop(listen="", **more):
    return Appliance(CONFIG, listen=listen, **more)


def dial(address):
    host, port = address.rsplit(":", 1)
    made = socket.create_connection((host, int(port)), timeout=30)
    return made


def everything_from(connection):
    """All that comes until the peer closes."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def test_a_client_beyond_its_rate_is_told_when_to_come_back():
    with shop('rate_per_address = "1/s"\ntrusted_proxies = ["127.0.0.1"]') as appliance:
        batch = {"batch": [track("u", "Product Viewed") for _ in range(500)]}

        def post(body, client):
            return appliance.post("/v1/batch", body, {"X-Forwarded-For": client})

        assert post(batch, "198.51.100.1")[0] == 200
        status, answer, headers = post(batch, "203.0.113.9, 198.51.100.1")
        assert status == 429 and answer["error"]["code"] == "rate_limited"
        assert 400 < int(headers["Retry-After"]) <= 500
        assert post(batch, "198.51.100.2")[0] == 200, "its neighbour behind the same proxy"
        eventually(lambda: appliance.stat()["totals"]["applied"] == 1000)
        assert appliance.stat()["totals"]["received"] == 1000


def test_one_address_gets_so_many_connections():
    with shop("connections_per_address = 3") as appliance:
        kept = [dial(appliance.http) for _ in range(3)]
        for connection in kept:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        refused = dial(appliance.http)
        assert everything_from(refused) == b""
        refused.close()
        kept.pop().close()

        def admitted():
            with dial(appliance.http) as one:
                try:
                    one.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                    return one.recv(65536).startswith(b"HTTP/1.1 200")
                except ConnectionError:
                    return False

        eventually(admitted)
        for connection in kept:
            connection.close()


def test_slow_clients_are_cut_off_and_idle_ones_are_not():
    with shop() as appliance:
        head = dial(appliance.http)
        head.sendall(b"POST /v1/track HTTP/1.1\r\nHost: h\r\nContent-Le")
        silent = dial(appliance.streams[0])
        idle = dial(appliance.http)
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        assert everything_from(head).startswith(b"HTTP/1.1 408 ")
        kind, told = read_error(everything_from(silent))
        assert (kind, told) == ("error", "too_slow")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        for connection in (head, silent, idle):
            connection.close()


def read_error(frame):
    message = capnp.read_message(frame[capnp.HEADER.size:])
    return message["kind"], message.get("code")


# --- what is never printed -----------------------------------------------------------------------

WRITE_KEY = "wkey-5e1b7a90c2"
READ_KEY = "rkey-83d0f6e4b1"
GUESSED_KEY = "guess-19cc02ab77"
REDIS_PASSWORD = "rpass-6bd0921f4e"
USER = "user-7c2fa4419d"
STRANGER = "anon-b04e8d55aa"
ITEM = "item-e2906f1c38"
TRAIT = "trait-4f8831d7c0"
GROUP = "group-aa61b3097e"
MESSAGE = "mid-d7715e20f3"
ADDRESS = "203.0.113.77"
OWN = [WRITE_KEY, READ_KEY, GUESSED_KEY, REDIS_PASSWORD, USER, STRANGER, ITEM, TRAIT, GROUP, MESSAGE,
       ADDRESS]


def basic(key):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def console(appliance, path, headers):
    request = urllib.request.Request(f"http://{appliance.console}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def say(appliance, *frames):
    """Frames on a stream of their own; what came back before the close or half a second's silence."""
    with dial(appliance.streams[0]) as stream:
        stream.sendall(b"".join(frames))
        stream.shutdown(socket.SHUT_WR)
        return everything_from(stream)


def own_event(**more):
    return {"type": "track", "event": "Product Viewed", "userId": USER, "messageId": MESSAGE,
            "properties": {"item": ITEM, "price": 1}, "context": {"ip": ADDRESS}, **more}


def provoke_http(appliance):
    """Every kind of refusal, each with something of somebody's in it. Returns the token."""
    key = basic(WRITE_KEY)
    status, _, headers = appliance.post("/v1/track", own_event(), key)
    assert status == 200
    token = headers["Deja-Token"]
    expected = [
        (401, own_event(), basic(GUESSED_KEY)), (401, own_event(writeKey=GUESSED_KEY), {}),
        (400, own_event(userId=USER * 10), key), (400, own_event(userId=[USER]), key),
        (400, own_event(timestamp=ITEM), key), (400, own_event(event=[ITEM]), key),
        (400, own_event(event=""), key), (400, json.dumps(own_event())[:-2].encode(), key),
        (400, json.dumps(own_event()).encode() + USER.encode(), key),
        (400, json.dumps(own_event()).encode().replace(ITEM.encode(), b"\xff" + ITEM.encode()), key),
        (200, own_event(properties={"item": {"of": ITEM}, "price": ITEM}), key),
        (200, own_event(type="group", event=None, groupId=GROUP), key),
        (200, own_event(type="identify", traits={"plan": TRAIT}), key),
        (200, own_event(type="alias", previousId=STRANGER), key),
        (200, own_event(), key), (400, own_event(), {**key, "Deja-Ack": TRAIT}),
        (415, own_event(), {**key, "Content-Encoding": TRAIT}),
        (413, own_event(more=ITEM * 60_000), key), (400, own_event(more=ITEM * 4_000), key),
    ]
    for status, body, headers in expected:
        route = "/v1/" + (body["type"] if isinstance(body, dict) else "track")
        answered = appliance.post(route, body, headers)
        assert answered[0] == status, (status, answered, str(body)[:200])
    for path in (f"/v1/projects/{GUESSED_KEY}/settings", f"/{USER}", f"/v1/track/{USER}"):
        with dial(appliance.http) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {ITEM}\r\nConnection: close\r\n"
                               f"Cookie: {TRAIT}\r\n\r\n".encode())
            assert everything_from(connection).split()[1] in (b"401", b"404")
    for head in (f"GET {USER} HTTP/1.1\r\n\r\n", f"{GROUP}\r\n\r\n", f"GET / HTTP/1.1\r\n{USER}\r\n\r\n",
                 f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {ITEM}\r\n\r\n"):
        with dial(appliance.http) as connection:
            connection.sendall(head.encode())
            assert everything_from(connection).startswith(b"HTTP/1.1 ")
    return token


def provoke_stream(appliance):
    event = capnp.event(user=USER, message_id=MESSAGE, properties={"item": ITEM, "price": 1.0})
    hello = capnp.hello_frame(write_key=WRITE_KEY, client=STRANGER)
    assert b"bad_write_key" in say(appliance, capnp.hello_frame(write_key=GUESSED_KEY))
    assert say(appliance, hello, capnp.batch_frame(1, [event]))
    assert b"bad_sequence" in say(appliance, hello, capnp.batch_frame(2, [event]),
                                  capnp.batch_frame(1, [event]))
    assert b"bad_frame" in say(appliance, hello, USER.encode() * 20)
    assert b"key_too_long" in say(appliance, hello,
                                  capnp.batch_frame(1, [capnp.event(user=USER * 10)]))
    assert say(appliance, hello, capnp.batch_frame(1, [capnp.event("group", GROUP, user=USER)]))


def provoke_console(appliance, token):
    path = f"/v1/profiles/{USER}"
    read = basic(READ_KEY)
    assert console(appliance, path, read)[0] == 200
    assert console(appliance, path, {**read, "Deja-Token": token})[0] == 200
    assert console(appliance, path, {})[0] == 401
    for key in (WRITE_KEY, GUESSED_KEY):
        assert console(appliance, path, basic(key))[0] == 401
        assert console(appliance, path, {"Authorization": f"Bearer {key}"})[0] == 401
    assert console(appliance, f"/v1/profiles/{STRANGER}", read)[0] == 404
    assert console(appliance, f"/v1/profiles/{USER * 10}", read)[0] == 400
    assert console(appliance, path, {**read, "Deja-Token": ITEM})[0] == 400
    assert console(appliance, path + f"?at={TRAIT}", read)[0] == 400
    assert console(appliance, path + f"?fields={TRAIT}", read)[0] in (200, 400)


def test_nothing_of_anybodys_is_printed():
    listen = ('write_keys = ["env:OUR_WRITE_KEY"]\nread_keys = ["env:OUR_READ_KEY"]\n'
              'trusted_proxies = ["127.0.0.1"]')
    keys = {"OUR_WRITE_KEY": WRITE_KEY, "OUR_READ_KEY": READ_KEY}
    with shop(listen, environment=keys) as appliance:
        token = provoke_http(appliance)
        provoke_stream(appliance)
        provoke_console(appliance, token)
        time.sleep(0.1)  # the last counters
        errors = appliance.deja("errors", "--json").stdout
        printed = {
            "deja errors": appliance.deja("errors").stdout, "deja errors --json": errors,
            "deja stat": appliance.deja("stat").stdout,
            "deja stat --json": appliance.deja("stat", "--json").stdout,
            "/metrics": console(appliance, "/metrics", basic(READ_KEY))[1],
        }
        assert "no event matches group" in errors, "the provocations were seen"
        assert "bad_sequence" in errors and "deja_events_rejected_total" in printed["/metrics"]
        for pid in appliance.segment.glob("process-*"):
            printed[pid.name] = pid.read_bytes().decode(errors="replace")
        for broken in ('url = "redis://:%s@"' % REDIS_PASSWORD, 'url = "rediss://:%s@h"' % REDIS_PASSWORD):
            config = appliance.directory / "broken.toml"
            config.write_text(appliance.config.read_text() + f"\n[redis]\n{broken}\n")
            done = run("deja", "validate", "-c", config, check=False, env={**appliance.environment})
            assert done.returncode == 1
            printed[broken] = done.stdout + done.stderr
        config.write_text(appliance.config.read_text().replace("env:OUR_WRITE_KEY", f"{WRITE_KEY} x"))
        done = run("deja", "validate", "-c", config, check=False, env={**appliance.environment})
        assert done.returncode == 1 and "not usable as a key" in done.stdout + done.stderr
        printed["a broken key"] = done.stdout + done.stderr
        assert appliance.stop() == 0
        printed["the log"] = appliance.log.read_text(errors="replace")
        found = [(where, own) for where, text in printed.items() for own in [*OWN, token]
                 if own in text]
        assert found == []
