// What the page shows, computed from the documents of /v1/stat: rates and percentiles of the time
// between two of them, lags, how each process does. Pure: no clock, no network, no document, so that
// a test can ask it anything (tests/tools/console/figures_test.mjs).

/** Shown of an appliance's events; each from its counters since the start. */
const COUNTS = {
  received: (totals) => totals.received,
  accepted: (totals) => totals.received - totals.rejected,
  applied: (totals) => totals.applied,
  duplicate: (totals) => totals.duplicate,
  rejected: (totals) => totals.rejected,
};

/** The stages of an event's way in their order, by the histograms that show them. */
const STAGES = [
  ["deja_event_stage_seconds", "receive_commit", "receive → commit"],
  ["deja_event_stage_seconds", "commit_applied", "commit → applied"],
  ["deja_event_visible_seconds", "", "receive → visible"],
  ["deja_event_stage_seconds", "applied_durable", "applied → durable"],
  ["deja_event_stage_seconds", "durable_acked", "durable → acked"],
  ["deja_event_stage_seconds", "applied_flushed", "applied → in Redis"],
  ["deja_worker_batch_seconds", "", "a worker's batch"],
  ["deja_flush_seconds", "", "a write to Redis"],
];
export const VISIBLE = "receive → visible";

/** Whether `after` is the same incarnation of the appliance as `before`, and later. */
export function follows(before, after) {
  return before !== null && before.incarnation === after.incarnation && after.up_s > before.up_s;
}

/** Events a second between two documents, by kind; null where they can't be compared. */
export function ratesBetween(before, after) {
  if (!follows(before, after)) return null;
  const seconds = after.up_s - before.up_s;
  return Object.fromEntries(Object.entries(COUNTS).map(([name, count]) => [
    name, Math.max(0, (count(after.totals) - count(before.totals)) / seconds)]));
}

/** Everything that may wait, in the order of an event's way: {name, count, age_us, fill or null,
 *  trouble or ""}. */
export function lagsOf(stat) {
  const queue = (lag) => ({name: lag.name, count: lag.waiting_records, age_us: lag.oldest_age_us,
    fill: lag.fill, trouble: ""});
  const journal = {full: "disk full", failed: "disk fails", starting: "not begun"};
  return [
    ...stat.rings.map(queue),
    ...stat.logs.map(queue),
    {name: "journal", count: stat.journal.lag_events, age_us: stat.journal.lag_us, fill: null,
      trouble: journal[stat.journal.state] ?? ""},
    {name: "redis", count: stat.redis.flush_lag_events, age_us: stat.redis.flush_lag_us, fill: null,
      trouble: stat.redis.connected ? "" : "away"},
  ];
}

/** The name of a metric and its labels: 'x{a="b"}' → ["x", {a: "b"}]. */
export function parseMetric(text) {
  const [, name, labels] = /^([^{]*)(?:\{(.*)\})?$/.exec(text);
  return [name, Object.fromEntries([...(labels ?? "").matchAll(/([a-z_]+)="([^"]*)"/g)]
    .map(([, key, value]) => [key, value]))];
}

/** Buckets [upper bound, count] of one stage over all processes and threads, as a Map. */
function bucketsOf(stat, family, stage) {
  const sum = new Map();
  for (const process of stat.processes) {
    for (const [metric, histogram] of Object.entries(process.histograms)) {
      const [name, labels] = parseMetric(metric);
      if (name !== family || (labels.stage ?? "") !== stage) continue;
      for (const [upper, count] of histogram.buckets_ns) sum.set(upper, (sum.get(upper) ?? 0) + count);
    }
  }
  return sum;
}

/** The value below which `fraction` of what `buckets` count lies; null when they are empty. */
export function percentile(buckets, fraction) {
  const sorted = [...buckets].filter(([, count]) => count > 0).sort(([a], [b]) => a - b);
  const all = sorted.reduce((sum, [, count]) => sum + count, 0);
  const rank = Math.floor(fraction * (all - 1)) + 1;
  let seen = 0;
  for (const [upper, count] of sorted) {
    seen += count;
    if (seen >= rank) return upper - 1;
  }
  return null;
}

/** Per stage that has ever been measured {stage, count, p50_ns, p99_ns, p999_ns} of the time between
 *  two documents; the percentiles are null where nothing happened in it. */
export function latenciesBetween(before, after) {
  const comparable = follows(before, after);
  const rows = [];
  for (const [family, label, stage] of STAGES) {
    const buckets = bucketsOf(after, family, label);
    if (buckets.size === 0) continue;
    if (comparable) {
      for (const [upper, count] of bucketsOf(before, family, label)) {
        buckets.set(upper, Math.max(0, (buckets.get(upper) ?? 0) - count));
      }
    }
    const count = [...buckets.values()].reduce((sum, more) => sum + more, 0);
    rows.push({stage, count, p50_ns: percentile(buckets, 0.5), p99_ns: percentile(buckets, 0.99),
      p999_ns: percentile(buckets, 0.999)});
  }
  return rows;
}

/** What the plots show of one document; null where nothing can be said since `before`. */
export function pointOf(before, stat) {
  const rates = ratesBetween(before, stat);
  const visible = rates === null ? undefined
    : latenciesBetween(before, stat).find(({stage}) => stage === VISIBLE);
  const oldest = (queues) => Math.max(0, ...queues.map((queue) => queue.oldest_age_us));
  return {
    up_s: stat.up_s,
    received: rates?.received ?? null,
    applied: rates?.applied ?? null,
    ring_us: oldest(stat.rings),
    log_us: oldest(stat.logs),
    journal_us: stat.journal.lag_us,
    redis_us: stat.redis.flush_lag_us,
    p50_ns: visible?.p50_ns ?? null,
    p99_ns: visible?.p99_ns ?? null,
  };
}

const HEALTH = {
  alive: "alive",
  restarted: "restarted",
  silent: "silent",
  gone: "gone",
};

/** {name, state, isBad, age_us, up_s, starts, pid}: isBad calls for somebody's attention. */
export function processesOf(stat) {
  return stat.processes.map((process) => ({
    name: process.name,
    state: HEALTH[process.health] ?? process.health,
    isBad: process.health !== "alive",
    age_us: process.heartbeat_age_us,
    up_s: process.up_s,
    starts: process.starts,
    pid: process.pid,
  }));
}

/** The documents of the last while, oldest first; what came before a new incarnation is dropped. */
export class History {
  #documents = [];
  #secondsMax;

  constructor(secondsMax) {
    this.#secondsMax = secondsMax;
  }

  add(stat) {
    if (this.#documents.length > 0 && !follows(this.#documents.at(-1), stat)) this.#documents = [];
    this.#documents.push(stat);
    const oldest = stat.up_s - this.#secondsMax;
    while (this.#documents.length > 2 && this.#documents[1].up_s < oldest) this.#documents.shift();
  }

  /** The one that is `seconds` older than the newest, or the oldest there is; null before a second
   *  one came. */
  before(seconds) {
    if (this.#documents.length < 2) return null;
    const from = this.#documents.at(-1).up_s - seconds;
    const later = this.#documents.findIndex((stat) => stat.up_s > from);
    return this.#documents[Math.max(0, later - 1)];
  }

  get all() {
    return this.#documents;
  }
}
