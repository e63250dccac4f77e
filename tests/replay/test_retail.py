"""Real data, exact: every order line of Online Retail that has a customer, replayed in several ways;
every value of every customer equals the brute-force reference."""

import csv
import json
import lzma
import pathlib
import subprocess
import tomllib
from collections import defaultdict
from datetime import datetime, timezone

import pytest

import peers
import reference
from appliance import Appliance, data_file, run

HERE = pathlib.Path(__file__).parent
CONFIG = (HERE / "retail.toml").read_text()
MAP = HERE / "retail.map.toml"
ROWS_WITH_CUSTOMER = 406_829
ROWS_WITHOUT = 135_080

DATA = data_file("online_retail.csv.xz")
if DATA is None:
    peers.cannot("online_retail.csv.xz is not there; set DEJA_DATA to the folder that has it")


def parsed_config():
    text = CONFIG.replace("@INGEST@", "[]").replace("@WORKERS@", "[]")
    return tomllib.loads(text)


@pytest.fixture(scope="module")
def events():
    """{customer: [Event]}, read from the file without any of the project's code."""
    by_customer = defaultdict(list)
    seconds = {}
    with lzma.open(DATA, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["CustomerID"]:
                continue
            date = row["InvoiceDate"]
            if date not in seconds:
                seconds[date] = int(datetime.strptime(date, "%Y-%m-%d %H:%M:%S")
                                    .replace(tzinfo=timezone.utc).timestamp())
            quantity = float(row["Quantity"])
            by_customer[str(int(float(row["CustomerID"])))].append(reference.Event(
                seconds[date] * 1_000_000, "order" if quantity > 0 else "refund",
                {"item": row["StockCode"], "price": float(row["UnitPrice"]),
                 "quantity": quantity, "country": row["Country"]}))
    assert sum(map(len, by_customer.values())) == ROWS_WITH_CUSTOMER
    return by_customer


@pytest.fixture(scope="module")
def last_us(events):
    return max(event.time_us for list_ in events.values() for event in list_)


def rfc3339(time_us):
    return datetime.fromtimestamp(time_us // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_all(profiles, events, at_us, config=None):
    config = config or parsed_config()
    assert profiles.keys() == events.keys()
    complaints = []
    for customer, list_ in events.items():
        complaints += [f"{customer}: {complaint}" for complaint in
                       reference.check_profile(config, list_, profiles[customer], at_us)]
    assert not complaints, f"{len(complaints)} complaints, first: " + "\n".join(complaints[:20])


def replay(appliance, via, *arguments):
    target = appliance.http if via == "http" else appliance.streams[0]
    done = run("deja", "replay", DATA, "--map", MAP, "--via", via, "--to", target, "--speed", "max",
               "--probes", "0", "--json", *arguments, timeout=280)
    summary = json.loads(done.stdout.splitlines()[-1])
    return summary


def check_counters(appliance, received):
    totals = appliance.stat()["totals"]
    assert totals["received"] == received
    assert totals["applied"] == received
    assert totals["duplicate"] == totals["unmatched"] == totals["rejected"] == totals["dead"] == 0


@pytest.mark.parametrize("via, ingest, workers, shuffle", [
    ("http", [0], [0], False),
    ("stream", [0], [0], False),
    ("stream", [0, 1], [0, 1, 0], True),
], ids=["http", "stream", "shuffled, 3 workers and 2 ingest threads"])
def test_every_value_of_every_customer_is_the_reference_s(via, ingest, workers, shuffle, events,
                                                          last_us):
    with Appliance(CONFIG, ingest=ingest, workers=workers) as retail:
        summary = replay(retail, via, *(["--shuffle-within", "30m", "--seed", "7"] if shuffle else []))
        assert summary["sent"] == ROWS_WITH_CUSTOMER
        assert summary["skipped"] == ROWS_WITHOUT
        check_counters(retail, ROWS_WITH_CUSTOMER)
        for days in ((0,) if shuffle else (0, 20, 61)):
            at_us = last_us + days * 86_400_000_000
            check_all(retail.export("--at", rfc3339(at_us)), events, at_us)


def split_rows(tmp_path, part_of):
    """Writes the rows with a customer into two files by part_of(number, row)."""
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    with lzma.open(DATA, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        with open(paths[0], "w", newline="") as a, open(paths[1], "w", newline="") as b:
            writers = [csv.writer(a), csv.writer(b)]
            for writer in writers:
                writer.writerow(header)
            for number, row in enumerate(rows):
                if row[6]:
                    writers[part_of(number, row)].writerow(row)
    return paths


def merged(tmp_path, part_of, at_us):
    """Replays the two parts into two appliances and merges their profiles."""
    paths = split_rows(tmp_path, part_of)
    with Appliance(CONFIG, ingest=[0], workers=[0]) as a, \
            Appliance(CONFIG, ingest=[1], workers=[1]) as b:
        for appliance, path in ((a, paths[0]), (b, paths[1])):
            run("deja", "replay", path, "--map", MAP, "--via", "stream", "--to",
                appliance.streams[0], "--speed", "max", "--probes", "0", "--json", timeout=280)
        lines = run("merge_exports", a.segment, b.segment, at_us, timeout=120).stdout.splitlines()
        parts = [appliance.export("--at", rfc3339(at_us)) for appliance in (a, b)]
    profiles = [json.loads(line) for line in lines]
    return {profile["user"]: profile for profile in profiles}, parts


def test_two_appliances_that_shared_the_year_merge_into_one(tmp_path, events, last_us):
    profiles, _ = merged(tmp_path, lambda number, row: row[4] >= "2011-08-01", last_us)
    check_all(profiles, events, last_us)


def test_two_appliances_that_shared_the_rows_merge_into_one(tmp_path, events, last_us):
    """Sessions apart: two halves of a visit that each saw gaps the other filled can't be counted
    again without every event (workers/features/README.md); their bound is checked instead."""
    profiles, parts = merged(tmp_path, lambda number, row: number * 2654435761 >> 16 & 1, last_us)
    config = parsed_config()
    del config["features"]["visit"]
    check_all(profiles, events, last_us, config)
    for customer, profile in profiles.items():
        counts = [part[customer]["features"]["visit"]["count"] for part in parts
                  if customer in part and part[customer]["features"]["visit"]]
        count = profile["features"]["visit"]["count"]
        assert max(counts) <= count <= sum(counts), customer


AWK = r"""
# Per customer: lines ordered, refunds, spend, newest item and its price, smallest and largest line.
{ user = int($7) ""; if ($7 == "") next
  if ($4 > 0) { orders[user]++; spend[user] += $4 * $6
    if (!(user in most) || $4 > most[user]) most[user] = $4
    if (!(user in least) || $4 < least[user]) least[user] = $4
    if (!((user, $2) in have)) { have[user, $2] = 1; items[user]++ }
  } else { refunds[user]++; refunded[user] -= $4 * $6 } }
END { for (user in orders) printf "%s %d %d %.6f %.6f %d %d %d\n", user, orders[user],
        refunds[user], spend[user], refunded[user], most[user], least[user], items[user] }
"""


def test_twenty_customers_by_awk(events, last_us):
    """Reference and engine could share a misreading; awk reads the file by itself. Descriptions with
    commas are taken out first, quotes and all."""
    plain = subprocess.run(
        f"xz -dc '{DATA}' | sed 1d | sed -E 's/\"[^\"]*\"/x/'", shell=True, check=True,
        capture_output=True, text=True).stdout
    lines = subprocess.run(["awk", "-F,", AWK], input=plain, check=True, capture_output=True,
                           text=True).stdout.splitlines()
    by_awk = {line.split()[0]: line.split()[1:] for line in lines}
    chosen = sorted(by_awk, key=lambda user: int(user) * 7919 % 4373)[:20]
    config = parsed_config()
    for user in chosen:
        values = {name: reference.value_of(config["features"][name], events[user],
                                           list(config["events"]), last_us)[0]
                  for name in ("orders", "refunds", "spend", "refunded", "largest", "smallest",
                               "items")}
        orders, refunds, spend, refunded, largest, smallest, items = map(float, by_awk[user])
        assert (values["orders"], values["refunds"]) == (orders, refunds), user
        assert values["spend"] == pytest.approx(spend, abs=1e-5), user
        assert values["refunded"] == pytest.approx(refunded, abs=1e-5), user
        assert (values["largest"], values["smallest"], values["items"]) == (
            largest, smallest, items), user
