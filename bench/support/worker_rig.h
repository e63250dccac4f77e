// One worker and its ends, in one process: events are put into its ring as ingest does, the worker
// takes them, and whoever drains its log gives the space back at once. What is measured is the
// worker's own passes. Bench code; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bench/support/servers.h"
#include "bench/support/shop.h"
#include "bench/support/ticks.h"
#include "bench/support/users.h"
#include "ingest/record_builder.h"
#include "tests/support/segment_fixture.h"
#include "tests/support/worker_peers.h"
#include "tools/config/load_config.h"
#include "tools/config/segment_plan.h"
#include "workers/worker.h"

namespace deja::bench {

class WorkerRig {
 public:
  WorkerRig(std::uint64_t users, const std::string& features)
      : fixture_(plan(users, features)),
        ingest_(fixture_),
        keeper_(fixture_),
        log_position_(&fixture_.file("log-0").at<RingHeaderLayout>()->producer_position),
        drained_(&keeper_logs(fixture_.file("keeper").data())[0].drained_position.value) {
    if (!keeper_.give_end()) give_up("the return ring is full");
    Result<std::unique_ptr<Worker>> attached = Worker::attach(fixture_.segment(), 0);
    if (!attached.ok()) give_up(attached.error().message().c_str());
    worker_ = std::move(*attached);
    while (!worker_->recovered()) worker_->duty_cycle();
  }

  /// The record of event `number` by user `user`, its id its own.
  [[nodiscard]] std::vector<std::uint8_t> record(std::uint64_t number, std::uint64_t user) const {
    const ShopEvent about(number, user);
    const std::string name = user_name(user);
    RecordFields fields;
    fields.key = {KeyNamespace::kUser, name.data(), static_cast<std::uint32_t>(name.size())};
    fields.shard = shard_of(fields.key, fixture_.plan().shard_count);
    fields.id_low = number + 1;
    fields.id_high = 1;
    fields.time_us = kBegan + static_cast<std::int64_t>(number);
    fields.received_us = fields.time_us;
    fields.kinds = 1U << static_cast<unsigned>(about.kind);
    // Slots in the order in which the config first names their paths.
    std::vector<CapturedValue> captured;
    if (about.kind == ShopEvent::Kind::kOrder) {
      captured = {{3, 0, Value::of(about.price)}};
    } else {
      captured = {{0, 0, text_of(about.item)},
                  {1, 0, text_of(about.category)},
                  {2, 0, Value::of(about.price)}};
    }
    static constexpr std::uint64_t kKindsOfSlot[] = {3, 3, 3, 4};
    const RecordValues values{captured, kKindsOfSlot, fields.kinds};
    const RecordSize size = record_size(fields, values);
    std::vector<std::uint8_t> bytes(size.bytes);
    build_record(fields, values, size, bytes.data());
    return bytes;
  }

  /// False: the ring is full.
  bool put(const std::vector<std::uint8_t>& bytes) { return ingest_.commit(bytes) != 0; }
  void publish() { ingest_.publish(); }

  /// Passes until the ring is empty. What they took of this core in ns: of its own time where
  /// `own_time`, which others on the core don't lengthen but whose clock costs much; else by the
  /// time stamp counter.
  double run(bool own_time) {
    double spent = 0;
    const double began_ns = own_time ? thread_ns() : 0;
    for (;;) {
      const std::uint64_t begin = ticks();
      const std::uint64_t work = worker_->duty_cycle();
      if (work == 0) break;
      spent += static_cast<double>(ticks() - begin) * tick_ns_;
      drained_->store(log_position_->load(std::memory_order_acquire), std::memory_order_release);
    }
    if (ingest_.consumed_position() != ingest_.published_position()) give_up("the worker stalled");
    return own_time ? thread_ns() - began_ns : spent;
  }

  [[nodiscard]] std::uint64_t applied() const {
    return fixture_.counter("worker-0", "deja_events_applied_total");
  }
  [[nodiscard]] SegmentFixture& fixture() { return fixture_; }

 private:
  static constexpr std::int64_t kBegan = 1'700'000'000'000'000;

  static Value text_of(const std::string& text) {
    return Value::of(text.data(), static_cast<std::uint32_t>(text.size()));
  }
  static SegmentPlan plan(std::uint64_t users, const std::string& features) {
    const std::string text = "[appliance]\nname = \"test\"\ndirectory = \"/dev/shm\"\nprofiles = " +
                             std::to_string(users) +
                             "\nshards = 64\nkey_bytes = 16\n"
                             "[cpu]\nworkers = 1\ningest = 1\n[listen]\nhttp = \"\"\n" +
                             kBenchEvents + features;
    auto loaded = load_config_text(text, "bench.toml");
    if (auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
      give_up(errors->front().message().c_str());
    }
    return segment_plan_of(std::get<Config>(loaded), "unix:///nowhere");
  }

  static double thread_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
  }

  double tick_ns_ = tick_ns();
  SegmentFixture fixture_;
  TestIngest ingest_;
  TestKeeper keeper_;
  std::atomic<std::uint64_t>* log_position_;
  std::atomic<std::uint64_t>* drained_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace deja::bench
