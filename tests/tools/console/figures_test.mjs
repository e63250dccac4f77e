// The figures of the live page (tools/console/page/figures.mjs), and the words for them.
import assert from "node:assert/strict";
import test from "node:test";

import {History, follows, lagsOf, latenciesBetween, parseMetric, percentile, pointOf, processesOf,
  ratesBetween} from "../../../tools/console/page/figures.mjs";
import * as words from "../../../tools/console/page/words.mjs";

function stat(up_s, totals = {}, more = {}) {
  return {
    incarnation: 7, up_s, rings: [], logs: [], processes: [],
    journal: {state: "writing", lag_events: 0, lag_us: 0},
    redis: {connected: true, flush_lag_events: 0, flush_lag_us: 0},
    totals: {received: 0, applied: 0, duplicate: 0, rejected: 0, ...totals},
    ...more,
  };
}

function worker(buckets_ns, name = "deja_event_visible_seconds") {
  return {name: "worker-0", health: "alive", histograms: {[name]: {buckets_ns}}};
}

test("rates are what was added between two documents, a second", () => {
  const before = stat(10, {received: 100, applied: 80, duplicate: 5, rejected: 10});
  const after = stat(12, {received: 300, applied: 180, duplicate: 15, rejected: 30});
  assert.deepEqual(ratesBetween(before, after),
    {received: 100, accepted: 90, applied: 50, duplicate: 5, rejected: 10});
});

test("a counter that fell is no negative rate", () => {
  assert.equal(ratesBetween(stat(1, {received: 9}), stat(2, {received: 4})).received, 0);
});

test("documents of two incarnations, or of one instant, give no rate", () => {
  assert.equal(ratesBetween(null, stat(1)), null);
  assert.equal(ratesBetween(stat(5), stat(5)), null);
  assert.equal(ratesBetween(stat(1, {}, {incarnation: 6}), stat(2)), null);
  assert.equal(follows(stat(3), stat(2)), false);
});

test("percentiles are of what happened between the two documents, over all processes", () => {
  const before = stat(1, {}, {processes: [worker([[1000, 500]])]});
  const after = stat(2, {}, {processes: [
    worker([[1000, 500], [2000, 98]]), worker([[8000, 1], [4000, 1]])]});
  const [row] = latenciesBetween(before, after);
  assert.deepEqual(row, {stage: "receive → visible", count: 100, p50_ns: 1999, p99_ns: 3999,
    p999_ns: 3999});
});

test("a stage in which nothing happened has no percentiles, one never measured no row", () => {
  const same = [worker([[1000, 5]])];
  const [row, ...others] = latenciesBetween(stat(1, {}, {processes: same}), stat(2, {}, {processes: same}));
  assert.deepEqual(row, {stage: "receive → visible", count: 0, p50_ns: null, p99_ns: null, p999_ns: null});
  assert.deepEqual(others, []);
});

test("the stages of a family are told apart by their label, threads are not", () => {
  const name = (stage, thread) => `deja_event_stage_seconds{stage="${stage}",thread="${thread}"}`;
  const processes = [worker([[10, 1]], name("durable_acked", 0)), worker([[20, 1]], name("receive_commit", 0)),
    worker([[20, 2]], name("receive_commit", 1))];
  assert.deepEqual(latenciesBetween(null, stat(1, {}, {processes})).map((row) => [row.stage, row.count]),
    [["receive → commit", 3], ["durable → acked", 1]]);
});

test("a percentile is the rank's bucket, whatever the order they come in", () => {
  assert.equal(percentile(new Map(), 0.5), null);
  assert.equal(percentile([[100, 1]], 0.999), 99);
  assert.equal(percentile([[300, 1], [100, 98], [200, 1]], 0.5), 99);
  assert.equal(percentile([[300, 1], [100, 98], [200, 1]], 0.99), 199);
  assert.equal(percentile([[300, 1], [100, 98], [200, 1]], 1), 299);
});

test("lags name what is wrong with journal and Redis", () => {
  const [ring, journal, redis] = lagsOf(stat(1, {}, {
    rings: [{name: "ring-0-0", waiting_records: 3, oldest_age_us: 70, fill: 0.25}],
    journal: {state: "full", lag_events: 4, lag_us: 80},
    redis: {connected: false, flush_lag_events: 5, flush_lag_us: 90}}));
  assert.deepEqual(ring, {name: "ring-0-0", count: 3, age_us: 70, fill: 0.25, trouble: ""});
  assert.deepEqual([journal.count, journal.age_us, journal.trouble], [4, 80, "disk full"]);
  assert.deepEqual([redis.count, redis.age_us, redis.trouble], [5, 90, "away"]);
});

test("a plot's point has the oldest of each queue, and null for what can't be said yet", () => {
  const ring = (oldest_age_us) => ({name: "ring-0-0", waiting_records: 1, oldest_age_us, fill: 0});
  const after = stat(3, {received: 20, applied: 10}, {rings: [ring(5), ring(9), ring(0)],
    processes: [worker([[1000, 4]])]});
  assert.deepEqual(pointOf(null, after), {up_s: 3, received: null, applied: null, ring_us: 9, log_us: 0,
    journal_us: 0, redis_us: 0, p50_ns: null, p99_ns: null});
  const point = pointOf(stat(1), after);
  assert.deepEqual([point.received, point.applied, point.p50_ns, point.p99_ns], [10, 5, 999, 999]);
});

test("whoever is not alive and well is bad", () => {
  const healths = ["alive", "restarted", "silent", "gone"];
  const processes = healths.map((health) => ({...worker([]), health}));
  assert.deepEqual(processesOf(stat(1, {}, {processes})).map(({isBad}) => isBad),
    [false, true, true, true]);
});

test("a metric's labels are read", () => {
  assert.deepEqual(parseMetric("deja_x"), ["deja_x", {}]);
  assert.deepEqual(parseMetric('deja_x{a="1",b_c="2,{}"}'), ["deja_x", {a: "1", b_c: "2,{}"}]);
});

test("history keeps what the axis shows and one before it, and begins anew with an incarnation", () => {
  const history = new History(10);
  assert.equal(history.before(1), null);
  for (let up_s = 0; up_s <= 30; ++up_s) history.add(stat(up_s));
  assert.equal(history.all[0].up_s, 19);
  assert.equal(history.before(3).up_s, 27);
  assert.equal(history.before(1000).up_s, 19);
  history.add(stat(1, {}, {incarnation: 8}));
  assert.equal(history.all.length, 1);
});

test("numbers read well", () => {
  assert.deepEqual([0, 0.25, 7.5, 120, 1234.4, 1.234e6].map(words.rate),
    ["0", "0.25", "7.5", "120", "1,234", "1.23 M"]);
  assert.deepEqual([null, 999, 12_300, 4.56e6, 1.2e9].map(words.duration),
    ["–", "999 ns", "12.3 µs", "4.56 ms", "1.20 s"]);
  assert.deepEqual([0, 1500, 90e6, 3600e6, 86400e6 * 3].map(words.age),
    ["–", "1.50 ms", "90 s", "60 min", "3 d"]);
  assert.deepEqual([0, 0.001, 0.256].map(words.percent), ["0 %", "< 1 %", "26 %"]);
});
