// A small shop's ingest side, for the fuzzers of what comes over the network: a segment of its own,
// a sink, a worker's end that takes what it is given, and the rules that hold whatever was sent.
// What one run leaves to the next is where in the rings its records lie: to be told from nothing
// where a run can't fill a ring, and where one can, the rings and the sink are made anew. Test
// code; one thread.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "ingest/path_trie.h"
#include "tests/fuzz/fuzz.h"
#include "tests/ingest/sink/test_appliance.h"
#include "workers/event_decoder.h"

namespace deja::fuzz {

/// When every event is received: HttpClient's now, but for fuzzers that have none.
inline constexpr std::int64_t kNowUs = 1'795'206'354'000'000;

inline SinkAppliance::Options shop(std::uint64_t ring_bytes) {
  SinkAppliance::Options options;
  options.events = {{"view", schema::Call::TRACK, "Product Viewed", {0, 1, 2, 3, 4}},
                    {"any", schema::Call::TRACK, "*", {5}},
                    {"visit", schema::Call::PAGE, "*", {6}},
                    {"group", schema::Call::GROUP, "g1", {7}},
                    {"$identify", schema::Call::IDENTIFY, "", {7, 8}}};
  options.paths = {"properties.product_id",    "properties.price", "properties.products[].price",
                   "properties.products[].id", "properties.flag",  "messageId",
                   "context.page.path",        "traits.plan",      "traits.tags[]"};
  options.worker_count = 2;
  options.ring_bytes = ring_bytes;
  options.write_keys = {"key-1"};
  return options;
}

class SinkWorld {
 public:
  explicit SinkWorld(std::uint64_t ring_bytes)
      : appliance_(shop(ring_bytes)),
        paths_(appliance_.segment().catalog()),
        counters_(
            std::move(*appliance_.segment().map("process-ingest", MappedFile::Mode::kReadOnly))) {
    const Segment& segment = appliance_.segment();
    std::vector<std::uint16_t> roots;
    for (const auto slot : segment.catalog().getSlots()) roots.push_back(slot.getRoot());
    event_ = std::make_unique<Event>(roots);
    for (std::uint32_t worker = 0; worker < segment.geometry().worker_count; ++worker) {
      decoders_.emplace_back(segment.catalog(), segment.geometry(), worker);
      rings_.push_back(std::move(
          *segment.map("ring-0-" + std::to_string(worker), MappedFile::Mode::kReadWrite)));
    }
  }

  /// Before a run.
  void begin() {
    appliance_.set_journal(JournalState::kWriting);
    received_ = sum("deja_events_received_total");
    ended_ = sum_of_ends();
    rejected_ = sum(kRejected);
  }
  /// Before a run that could fill a ring: whatever points to the sink is to be made again.
  void begin_anew() {
    for (std::uint32_t worker = 0; worker < rings_.size(); ++worker) {
      rings_[worker].at<RingHeaderLayout>()->producer_position.store(0);
      appliance_.consumer(worker)->seek(0);
      appliance_.consume(worker);
      appliance_.make_durable(worker, 0);
    }
    appliance_.reopen_sink();
    begin();
  }

  /// The workers take what was published: every record is one that they understand. Then it is
  /// durable, but where it is told not to be yet.
  void consume(bool durable = true) {
    appliance_.sink().publish();
    for (std::uint32_t worker = 0; worker < rings_.size(); ++worker) {
      for (const SinkRecord& record : appliance_.records(worker)) {
        const auto bytes = static_cast<std::uint32_t>(record.words.size() * 8);
        CHECK(decoders_[worker].decode(record.words.data(), bytes, *event_));
      }
      for (const auto& letter : appliance_.take_letters()) {
        const auto event = rejected_event_of(letter);
        CHECK(event && event->text.size() <= kRejectedTextMax);
      }
      if (durable) appliance_.make_durable(worker);
    }
    appliance_.sink().refresh();
  }
  /// Workers and keeper as these dice have them: behind, or the disk in trouble.
  void struggle(Dice& dice) {
    constexpr std::array<JournalState, 4> kStates = {JournalState::kWriting, JournalState::kWriting,
                                                     JournalState::kFull, JournalState::kFailed};
    if (dice.below(4) == 0) appliance_.set_journal(kStates[dice.below(kStates.size())]);
    if (dice.below(3) == 0) return consume(dice.below(2) == 0);
    appliance_.sink().publish();
    appliance_.sink().refresh();
  }

  /// Every event received ends in exactly one counter.
  void check_counters() {
    appliance_.sink().publish();  // as the loop does at the end of its pass
    CHECK(sum("deja_events_received_total") - received_ == sum_of_ends() - ended_);
  }

  /// Events rejected in this run.
  [[nodiscard]] std::uint64_t rejected() const { return sum(kRejected) - rejected_; }

  [[nodiscard]] SinkAppliance& appliance() { return appliance_; }
  [[nodiscard]] const PathTrie& paths() const { return paths_; }

 private:
  static constexpr const char* kRejected = "deja_events_rejected_total";

  /// Over all labels.
  [[nodiscard]] std::uint64_t sum(std::string_view name) const {
    std::uint64_t sum = 0;
    const auto* counter = counters_.at<const CounterLayout>(sizeof(ProcessHeaderLayout));
    for (std::uint32_t at = 0; at < kCountersMax && counter->used.load() != 0; ++at, ++counter) {
      if (std::string_view(counter->name).starts_with(name)) sum += counter->value.load();
    }
    return sum;
  }
  [[nodiscard]] std::uint64_t sum_of_ends() const {
    return sum("deja_ring_records_total") + sum("deja_events_unmatched_total") +
           sum("deja_events_alias_total") + sum(kRejected);
  }

  SinkAppliance appliance_;
  PathTrie paths_;
  MappedFile counters_;
  std::vector<MappedFile> rings_;
  std::vector<EventDecoder> decoders_;
  std::unique_ptr<Event> event_;
  std::uint64_t received_ = 0;
  std::uint64_t ended_ = 0;
  std::uint64_t rejected_ = 0;
};

}  // namespace deja::fuzz
