"""A real Prometheus for tests: it loads the alerts of tools/monitoring in a hurry, scrapes appliances
each second, and says which alerts fire, and which ever did."""

import json
import re
import subprocess
import urllib.parse
import urllib.request

import peers
from appliance import ROOT
from traffic import eventually, lasting_address

MONITORING = ROOT / "tools/monitoring"
RULES = MONITORING / "deja.rules.yml"
QUARTER_OF_AN_HOUR = 900


def need_prometheus():
    """Skips, or fails where CI must have every peer."""
    peers.need("prometheus", "promtool", package="prometheus")


def in_a_hurry(rules):
    """The rules with shorter windows: 5 s for a minute, and from a quarter of an hour on, 1 s for a
    minute. Bounds stay as they are."""
    def hurried(found):
        seconds = int(found["number"]) * {"s": 1, "m": 60, "h": 3600}[found["unit"]]
        return f"{found['before']}{max(1, seconds // (12 if seconds < QUARTER_OF_AN_HOUR else 60))}s"
    return re.sub(r"(?P<before>\[|for: |offset )(?P<number>\d+)(?P<unit>[smh])\b", hurried, rules)


class Prometheus:
    """`with Prometheus(directory) as prometheus:` — of a scratch directory of its own. Any thread may
    call it."""

    def __init__(self, directory):
        self.address = lasting_address()
        self.targets = directory / "targets"
        self.targets.mkdir()
        (directory / "deja.rules.yml").write_text(in_a_hurry(RULES.read_text()))
        (directory / "prometheus.yml").write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["deja.rules.yml"],
            "scrape_configs": [{"job_name": "deja",
                                "file_sd_configs": [{"files": [f"{self.targets}/*.json"]}]}]}))
        self.log = directory / "prometheus.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={directory / 'prometheus.yml'}",
                 f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={self.address}"],
                stdout=log, stderr=log)

    def get(self, path, **parameters):
        """An answer's data; nothing while it is not up yet."""
        assert self.process.poll() is None, self.log.read_text()
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}",
                                        timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except OSError:
            return {}

    def scrape(self, shop):
        """From now on until forget(); returns once it has."""
        file = self._target_file(shop)
        whole = file.with_suffix(".new")
        whole.write_text(json.dumps([{"targets": [shop.console]}]))
        whole.rename(file)
        eventually(lambda: any(target["health"] == "up" and
                               target["labels"]["instance"] == shop.console
                               for target in self.get("targets").get("activeTargets", [])), 30)

    def forget(self, shop):
        self._target_file(shop).unlink(missing_ok=True)

    def firing(self, shop):
        """{(alert, process or queue)} of this appliance, now."""
        return {_named(alert["labels"]) for alert in self.get("alerts").get("alerts", [])
                if alert["state"] == "firing" and alert["labels"]["instance"] == shop.console}

    def ever_fired(self, shop):
        """The same, since it is scraped."""
        query = f'max_over_time(ALERTS{{alertstate="firing", instance="{shop.console}"}}[1h])'
        return {_named(series["metric"]) for series in self.get("query", query=query)["result"]}

    def _target_file(self, shop):
        return self.targets / f"{shop.console.replace(':', '-')}.json"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def _named(labels):
    return labels["alertname"], labels.get("process") or labels.get("queue")
