"""What is given to Prometheus and Grafana (tools/monitoring), held against a real appliance: its
metrics as promtool checks them, every name that rules and dashboard use, the rules' own tests, and what
of the dashboard Grafana would stumble over. (That alerts fire by their causes: test_alerts.py.)"""

import json
import re
import subprocess
import urllib.request

import pytest

from appliance import ROOT, Appliance
from prometheus import MONITORING, RULES, need_prometheus
from traffic import Client, track
from watched import watched_config

CONFIG = watched_config("monitored")
DASHBOARD = json.loads((MONITORING / "deja.grafana.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def peer():
    need_prometheus()


@pytest.fixture(scope="module")
def shop():
    with Appliance(CONFIG) as appliance, Client(appliance.http) as client:
        client.post("/v1/batch", {"batch": [track(f"u{number}", "Product Viewed", product_id="p")
                                            for number in range(20)]})
        yield appliance


def metrics(shop):
    with urllib.request.urlopen(f"http://{shop.console}/metrics", timeout=10) as answer:
        return answer.read().decode()


def promtool(*arguments, **options):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=120, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names_in(expressions):
    """Every metric that the expressions name, recording rules' results aside."""
    return {name for text in expressions for name in re.findall(r"\bdeja_[a-z_]+\b(?!:)", text)}


def sample_names(text):
    return {re.split(r"[{ ]", line, maxsplit=1)[0] for line in text.splitlines() if not line.startswith("#")}


def test_promtool_has_nothing_to_say_about_the_metrics(shop):
    text = metrics(shop)
    assert "deja_event_visible_seconds_bucket" in text
    assert promtool("check", "metrics", input=text) == ""


def test_lag_is_there_as_count_and_as_age_everywhere(shop):
    text = metrics(shop)
    for queue in ("ring-0-0", "ring-0-1", "log-0", "log-1"):
        for name in ("deja_waiting_records", "deja_waiting_bytes", "deja_waiting_age_seconds",
                     "deja_queue_capacity_bytes"):
            assert re.search(rf'^{name}{{queue="{queue}"}} [\d.]+$', text, re.MULTILINE), (name, queue)
    for name in ("deja_journal_lag_events", "deja_journal_lag_seconds", "deja_flush_lag_events",
                 "deja_flush_lag_seconds"):
        assert re.search(rf'^{name}{{process="keeper"}} [\d.]+$', text, re.MULTILINE), name


def test_the_rules_name_only_metrics_that_there_are(shop):
    expressions = [line for line in RULES.read_text().splitlines() if not line.lstrip().startswith("#")]
    named = names_in(expressions) - {"deja_latency"}  # a group's name
    assert len(named) > 10 and named - sample_names(metrics(shop)) == set()


def test_the_dashboard_names_only_metrics_that_there_are(shop):
    targets = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
    named = names_in(target["expr"] for target in targets)
    assert len(named) > 20 and named - sample_names(metrics(shop)) == set()
    # An expression that Prometheus can't parse is an empty panel; rules are how promtool parses one.
    expressions = [target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                   for target in targets]
    promtool("check", "rules", "/dev/stdin", input=json.dumps({"groups": [{"name": "panels", "rules": [
        {"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]}]}))


def cells(panel):
    """The cells of Grafana's grid, 24 wide, that the panel takes."""
    at = panel["gridPos"]
    return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}


def test_the_dashboard_is_one_that_grafana_takes():
    """An export carries `__inputs`, an `id` and data sources of the Grafana that it came from; this
    one asks for its own, by a variable."""
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] == "deja"
    assert DASHBOARD.get("id") is None and "__inputs" not in DASHBOARD
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(variable["datasource"] == source for variable in variables.values()
               if variable["type"] == "query")
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] + panel["type"]
                                                          for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        assert panel["type"] in {"stat", "timeseries"} and panel["datasource"] == source
        assert panel["fieldConfig"]["defaults"] and panel["options"]
        here = cells(panel)
        assert here and not here & taken and all(0 <= x < 24 and y >= 0 for x, y in here), panel["title"]
        taken |= here
        letters = [target["refId"] for target in panel["targets"]]
        assert letters and len(letters) == len(set(letters)) and all(letters)
        for target in panel["targets"]:
            used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
            assert used <= {*variables, "__rate_interval", "__range"}, target["expr"]
            assert "instance" in used, "the choice of instances is everywhere"


def test_the_rules_pass_their_tests():
    promtool("check", "rules", RULES)
    promtool("test", "rules", ROOT / "tests/tools/monitoring/rules_test.yml")
