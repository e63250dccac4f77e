"""bench/simulate: it runs, and its queues (bench/frame/queues.py) behave as what can be computed: the
waiting time of M/D/1, the rate of a worker that folds, nothing lost, a full ring that stops one
connection."""

import json
import subprocess
import sys
import xml.etree.ElementTree

import peers
import pytest
from fake_build import ROOT
from frame import plots
from frame.queues import HOT, Costs, Setup, Simulation

FREE = {"ingest_ns": 0, "batch_ns": 0, "event_ns": 0, "publish_ns": 0, "cold_ns": 0, "handover_ns": 0}
# One user sends more than a worker can apply: of 4 M/s 80 %, over a connection of his own.
OVERLOAD = {"ingests": 2, "workers": 2, "per_s": 4e6, "events": 20_000, "hot": 0.8,
            "ring_bytes": 64 << 10}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def ran(costs=None, **setup):
    return Simulation(Setup(**setup), costs or Costs()).run()


@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("stage", ["ingest", "worker"])
def test_one_at_a_time_waits_as_m_d_1(stage, share):
    service_ns = 500
    costs = Costs(**{**FREE, "ingest_ns" if stage == "ingest" else "event_ns": service_ns})
    done = ran(costs, per_s=share / service_ns * 1e9, events=120_000, bundle=1, batch=1)
    waited = mean(event.taken - event.arrived if stage == "ingest" else event.begun - event.published
                  for event in done.events)
    assert waited == pytest.approx(share * service_ns / (2 * (1 - share)), rel=0.04)


def test_a_full_batch_of_one_user_costs_one_publish():
    costs = Costs(ingest_ns=0)
    done = ran(costs, per_s=1e8, events=51_200, hot=1.0, ring_bytes=1 << 20)
    per_batch_ns = costs.batch_ns + 256 * costs.event_ns + costs.publish_ns
    spent_ns = max(event.visible for event in done.events)
    assert len(done.events) / spent_ns == pytest.approx(256 / per_batch_ns, rel=0.02)
    assert done.workers[0].published == pytest.approx(51_200 / 256, rel=0.05)


@pytest.mark.parametrize("backends", [False, True])
@pytest.mark.parametrize("sleeping", [False, True])
def test_every_event_becomes_visible_once_and_in_its_order(sleeping, backends):
    done = ran(sleeping=sleeping, backends=backends, connections=3, **OVERLOAD)
    last = {}
    for event in done.events:
        assert event.arrived <= event.taken < event.published <= event.begun < event.visible
        way = (event.connection, event.worker)
        assert last.get(way, 0) <= event.visible, "overtaken on its own connection"
        last[way] = event.visible
    assert all(not ingest.arrivals and not ingest.stopped for ingest in done.ingests)
    rings = [ring for rings in done.rings for ring in rings]
    assert all(ring.used_bytes == 0 and not ring.records for ring in rings)
    assert max(ring.fullest_bytes for ring in rings) <= done.setup.ring_bytes
    assert {event.worker for event in done.events if event.user == HOT} == {0}


def test_a_full_ring_stops_the_connection_that_met_it_and_no_other():
    costs = Costs(ingest_ns=100)
    own = ran(costs, **OVERLOAD)
    at = HOT % 2  # the ingest thread that the hot user's connection met
    assert own.rings[at][0].full_ns > 0.3 * own.horizon_ns
    assert own.rings[0][1].full_ns == own.rings[1][1].full_ns == own.rings[1 - at][0].full_ns == 0

    def waited(done, users):
        return max(event.taken - event.arrived for event in done.events if users(event))
    assert waited(own, lambda event: event.user == HOT) > 0.2 * own.horizon_ns
    assert waited(own, lambda event: event.worker == 1) < 2 * 32 * costs.ingest_ns
    # A connection that carries everybody's events soon carries one that meets the full ring.
    mixed = ran(costs, backends=True, **OVERLOAD)
    assert waited(mixed, lambda event: event.worker == 1) > 0.2 * mixed.horizon_ns


def test_a_larger_ring_is_full_later():
    small, large = (ran(Costs(ingest_ns=100), **{**OVERLOAD, "ring_bytes": size << 10})
                    for size in (64, 512))
    assert small.rings[1][0].full_ns > large.rings[1][0].full_ns


def test_sleepers_are_woken_and_spinners_are_not():
    slept, spun = (ran(per_s=1e4, events=500, sleeping=sleeping) for sleeping in (True, False))
    took = [mean(event.visible - event.arrived for event in done.events) for done in (slept, spun)]
    # 10 µs of spinning at 10,000 a second: e^-0.1 of all find both parties asleep.
    assert took[0] - took[1] == pytest.approx(2 * 20_000 * 0.9, rel=0.1)


def simulate(*arguments):
    return subprocess.run([sys.executable, str(ROOT / "bench/simulate"), *arguments], text=True,
                          capture_output=True, timeout=120)


def test_a_smoke_run_prints_a_table_and_the_same_again(tmp_path):
    first, second = (simulate("--quick", "--reference", str(tmp_path / "none")) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert "simulated, not measured" in first.stdout and "worker: defaults" in first.stdout
    assert len(first.stdout.splitlines()) == 2 + 2 + 2, first.stdout


def test_kept_service_times_are_used(tmp_path):
    kept = [{"benchmark": "worker", "figures": [],
             "ratios": [{"name": "a worker alone, zipf, 20 features", "median": 2.0}]},
            {"benchmark": "throughput", "ratios": [],
             "figures": [{"name": "stream, frames encoded ahead: … ingest", "median": 321.0}]}]
    (tmp_path / "reference.json").write_text(json.dumps({"benchmarks": kept}))
    done = simulate("--quick", "--reference", str(tmp_path / "reference.json"), "--wake-ns", "9000",
                    "--json", str(tmp_path / "rows.json"))
    assert done.returncode == 0, done.stderr
    assert "worker: 500 ns an event, as kept" in done.stdout and "wake_ns: as given" in done.stdout
    costs = json.loads((tmp_path / "rows.json").read_text())["costs"]
    assert costs["ingest_ns"] == 321 and costs["wake_ns"] == 9000
    assert Costs(**costs).nominal_ns(256) == pytest.approx(500)


def test_the_kept_names_are_those_of_the_benchmarks():
    assert '"a worker alone, zipf, 20 features"' in (ROOT / "bench/worker_main.cc").read_text()
    throughput = ROOT / "bench/throughput_main.cc"
    assert not throughput.exists() or '"stream, frames encoded ahead"' in throughput.read_text()


def test_its_plot_is_drawn(tmp_path):
    if plots.gnuplot() is None:
        peers.cannot("no gnuplot; apt-get install gnuplot-nox")
    assert simulate("--quick", "--svg", str(tmp_path)).returncode == 0
    root = xml.etree.ElementTree.parse(tmp_path / "simulated_rate.svg").getroot()
    assert root.tag.endswith("svg")


@pytest.mark.parametrize("arguments, why", [
    (["--workers", "0"], "whole numbers"), (["--hot", "101"], "0 to 100"),
    (["--record-bytes", "200000"], "a quarter"),
])
def test_misuse_is_a_sentence(arguments, why):
    done = simulate(*arguments)
    assert done.returncode == 2 and why in done.stderr
