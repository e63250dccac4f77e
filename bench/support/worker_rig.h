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
#include "tests/support/segment_fixture.h"
#include "tests/support/worker_peers.h"
#include "tools/config/load_config.h"
#include "tools/config/segment_plan.h"
#include "workers/worker.h"

namespace deja::bench {

class WorkerRig {
 public:
  static constexpr std::uint64_t kRingBytes = 64U << 20U;

  WorkerRig(std::uint64_t users, const std::string& features, std::uint64_t ring_bytes = kRingBytes)
      : fixture_(plan(users, features, ring_bytes)),
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
    const ShopEvent about(number);
    TestEvent event{user_name(user)};
    event.id_low = number + 1;
    event.id_high = 1;
    event.time_us += static_cast<std::int64_t>(number);
    event.received_us = event.time_us;
    event.kinds = 1U << static_cast<unsigned>(about.kind);
    // Slots in the order in which the config first names their paths.
    if (about.kind == ShopEvent::Kind::kOrder) {
      event.values = {{3, 0, ValueKind::kNumber, about.price}};
    } else {
      event.values = {{0, 0, ValueKind::kText, 0, about.item},
                      {1, 0, ValueKind::kText, 0, about.category},
                      {2, 0, ValueKind::kNumber, about.price}};
    }
    return event.bytes(fixture_.plan().shard_count);
  }

  /// False: the ring is full.
  bool put(const std::vector<std::uint8_t>& bytes) { return ingest_.commit(bytes) != 0; }
  void publish() { ingest_.publish(); }

  /// Passes until the ring is empty; what they took, in ticks.
  std::uint64_t run() {
    std::uint64_t spent = 0;
    for (;;) {
      const std::uint64_t begin = ticks();
      const std::uint64_t work = worker_->duty_cycle();
      if (work == 0) break;
      spent += ticks() - begin;
      drained_->store(log_position_->load(std::memory_order_acquire), std::memory_order_release);
    }
    if (ingest_.consumed_position() != ingest_.published_position()) give_up("the worker stalled");
    return spent;
  }

  [[nodiscard]] std::uint64_t applied() const {
    return fixture_.counter("worker-0", "deja_events_applied_total");
  }
  [[nodiscard]] SegmentFixture& fixture() { return fixture_; }

 private:
  static SegmentPlan plan(std::uint64_t users, const std::string& features,
                          std::uint64_t ring_bytes) {
    const std::string text = "[appliance]\nname = \"test\"\ndirectory = \"/dev/shm\"\nprofiles = " +
                             std::to_string(users) +
                             "\nshards = 64\nkey_bytes = 16\n"
                             "[cpu]\nworkers = 1\ningest = 1\n[listen]\nhttp = \"\"\n" +
                             kShopEvents + features;
    auto loaded = load_config_text(text, "bench.toml");
    if (auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
      give_up(errors->front().message().c_str());
    }
    SegmentPlan plan = segment_plan_of(std::get<Config>(loaded), "unix:///nowhere");
    plan.files.clear();
    plan.fifos.clear();
    plan.ring_bytes = ring_bytes;
    plan.log_bytes = ring_bytes * 2;
    add_service_files(plan);
    return plan;
  }

  SegmentFixture fixture_;
  TestIngest ingest_;
  TestKeeper keeper_;
  std::atomic<std::uint64_t>* log_position_;
  std::atomic<std::uint64_t>* drained_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace deja::bench
