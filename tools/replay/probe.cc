#include "tools/replay/probe.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "ingest/producer.h"
#include "shm/base/clock.h"
#include "tools/replay/event_json.h"
#include "tools/replay/http_client.h"
#include "tools/replay/stream_event.h"

namespace deja {
namespace {

constexpr std::int64_t kMissedNs = 1'000'000'000;
constexpr std::uint64_t kMissedInARowMax = 3;
constexpr std::int64_t kSpinNs = 200'000;  // a sleep's end is less exact than this

/// One way to send one event at once and to take its answer later.
class ProbeWay {
 public:
  virtual ~ProbeWay() = default;
  virtual Status send(const ReplayEvent& event) = 0;
  virtual Status settle() = 0;
};

class HttpWay final : public ProbeWay {
 public:
  explicit HttpWay(const ProbePlan& plan) : client_(plan.address, plan.write_key) {}
  Status send(const ReplayEvent& event) override {
    body_ = "{\"batch\":[";
    append_event_json(body_, event);
    body_ += "]}";
    return client_.send("/v1/batch", body_);
  }
  Status settle() override {
    auto reply = client_.receive();
    if (!reply.ok()) return reply.error();
    if (reply->status == 200) return Done{};
    return Error{"a probe was answered with " + std::to_string(reply->status), 0,
                 "See deja errors"};
  }

 private:
  HttpClient client_;
  std::string body_;
};

class StreamWay final : public ProbeWay {
 public:
  Status open(const ProbePlan& plan) {
    ProducerOptions options;
    options.address = plan.address;
    options.write_key = plan.write_key;
    options.client_name = "deja replay probe";
    options.batch_events = 1;
    options.linger_us = 0;
    auto producer = Producer::open(std::move(options));
    if (!producer.ok()) return producer.error();
    producer_ = std::move(producer.value());
    return Done{};
  }
  Status send(const ReplayEvent& event) override {
    if (producer_->send(producer_event(event)) != SendOutcome::kTaken) return failure();
    producer_->poll(0);
    return Done{};
  }
  Status settle() override { return producer_->flush(2'000'000) ? Status(Done{}) : failure(); }

 private:
  [[nodiscard]] Status failure() const {
    return Error{"a probe was not taken: " + producer_->failure(), 0, "See deja errors"};
  }
  std::unique_ptr<Producer> producer_;
};

Result<std::unique_ptr<ProbeWay>> way_of(const ProbePlan& plan) {
  if (plan.via == "http") return std::unique_ptr<ProbeWay>(std::make_unique<HttpWay>(plan));
  auto way = std::make_unique<StreamWay>();
  if (Status opened = way->open(plan); !opened.ok()) return opened.error();
  return std::unique_ptr<ProbeWay>(std::move(way));
}

void wait_until(std::int64_t due_ns) {
  const std::int64_t now_ns = steady_ns();
  if (due_ns - now_ns > kSpinNs)
    usleep(static_cast<useconds_t>((due_ns - now_ns - kSpinNs) / 1000));
  while (steady_ns() < due_ns) {
  }
}

class Watcher {
 public:
  explicit Watcher(const deja_appliance* appliance)
      : appliance_(appliance),
        buffer_(appliance),
        yields_(std::thread::hardware_concurrency() < 4) {}

  [[nodiscard]] std::uint64_t sequence() {
    const deja_key key = deja_user(kProbeUser, static_cast<std::uint32_t>(std::strlen(kProbeUser)));
    return deja_get(appliance_, key, buffer_.get()) == DEJA_OK ? deja_sequence(buffer_.get()) : 0;
  }

  /// The instant at which the sequence was seen to have moved, or 0 after a second.
  [[nodiscard]] std::int64_t wait_for_move(std::uint64_t before, std::int64_t since_ns) {
    for (;;) {
      const std::uint64_t now = sequence();
      const std::int64_t now_ns = steady_ns();
      if (now > before) return now_ns;
      if (now_ns - since_ns > kMissedNs) return 0;
      if (yields_) sched_yield();  // the loop must not take the core that the worker needs
    }
  }

 private:
  const deja_appliance* appliance_;
  ProfileBuffer buffer_;
  bool yields_;
};

std::uint64_t quantile(const std::vector<std::uint64_t>& sorted, double fraction) {
  if (sorted.empty()) return 0;
  const double rank = fraction * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(rank + 0.5)];
}

}  // namespace

Result<ProbeResult> run_probes(const ProbePlan& plan) {
  auto appliance = open_appliance(plan.appliance);
  if (!appliance.ok()) return appliance.error();
  auto way = way_of(plan);
  if (!way.ok()) return way.error();
  Watcher watcher(appliance->get());
  ReplayEvent event = plan.like;
  event.user = kProbeUser;
  event.anonymous.clear();
  const std::string life = std::to_string(wall_us());

  ProbeResult result;
  std::vector<std::uint64_t> latencies_ns;
  latencies_ns.reserve(plan.count);
  std::uint64_t missed_in_a_row = 0;
  // The first one connects and makes the profile: it is not one of those measured.
  std::int64_t due_ns = steady_ns();
  for (std::uint64_t number = 0; number <= plan.count; ++number) {
    event.id = std::string(kProbeUser) + "-" + life + "-" + std::to_string(number);
    const std::uint64_t before = watcher.sequence();
    wait_until(due_ns);
    event.time_us = wall_us();
    if (Status sent = (*way)->send(event); !sent.ok()) return sent.error();
    if (number == 0) {  // still on its way to a connection, which only settling looks after
      if (Status settled = (*way)->settle(); !settled.ok()) return settled.error();
    }
    const std::int64_t seen_ns = watcher.wait_for_move(before, due_ns);
    if (number > 0) {
      if (Status settled = (*way)->settle(); !settled.ok()) return settled.error();
    }
    if (seen_ns == 0) {
      ++result.missed;
      if (++missed_in_a_row == kMissedInARowMax) break;
    } else {
      missed_in_a_row = 0;
      if (number > 0) latencies_ns.push_back(static_cast<std::uint64_t>(seen_ns - due_ns));
    }
    due_ns = number == 0 ? steady_ns() + plan.interval_ns : due_ns + plan.interval_ns;
  }
  std::sort(latencies_ns.begin(), latencies_ns.end());
  result.seen = latencies_ns.size();
  result.p50_ns = quantile(latencies_ns, 0.5);
  result.p99_ns = quantile(latencies_ns, 0.99);
  result.p999_ns = quantile(latencies_ns, 0.999);
  result.max_ns = latencies_ns.empty() ? 0 : latencies_ns.back();
  return result;
}

}  // namespace deja
