// A small appliance for ingest's tests: a segment of its own, with the events and paths that the
// test declares, an EventSink on it, and the workers' and the keeper's ends that the test plays
// itself.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingest/event_sink.h"
#include "ring/bell.h"
#include "ring/event_record.capnp.h"
#include "ring/positions.h"
#include "ring/rejected_event.h"
#include "ring/spsc_ring.h"
#include "ring/trace_layout.h"
#include "ring/verdict.h"
#include "shm/consumed_layout.h"
#include "shm/segment.h"
#include "tests/support/scratch.h"

namespace deja {

struct SinkEvent {
  std::string name;
  schema::Call call = schema::Call::TRACK;
  std::string match;
  std::vector<std::uint16_t> slots = {};
};

/// A catalog of these events and paths, as a flat message.
[[nodiscard]] inline std::vector<std::uint8_t> test_catalog(const std::vector<SinkEvent>& events,
                                                            const std::vector<std::string>& paths) {
  capnp::MallocMessageBuilder message;
  auto catalog = message.initRoot<schema::Catalog>();
  catalog.setAppliance("test");
  catalog.setFrameBytes(64);
  catalog.setKeyBytes(40);
  auto kinds = catalog.initEvents(static_cast<unsigned>(events.size()));
  for (unsigned at = 0; at < events.size(); ++at) {
    kinds[at].setName(events[at].name);
    kinds[at].setCall(events[at].call);
    kinds[at].setMatch(events[at].match);
    auto fields = kinds[at].initFields(static_cast<unsigned>(events[at].slots.size()));
    for (unsigned field = 0; field < events[at].slots.size(); ++field) {
      fields[field].setName("f" + std::to_string(field));
      fields[field].setSlot(events[at].slots[field]);
    }
  }
  auto slots = catalog.initSlots(static_cast<unsigned>(paths.size()));
  for (unsigned at = 0; at < paths.size(); ++at) {
    slots[at].setPath(paths[at]);
    slots[at].setRoot(paths[at].find("[]") == std::string::npos ? 0 : 1);
  }
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

/// A record as a worker meets it.
struct SinkRecord {
  std::vector<std::uint64_t> words;
  std::uint64_t end_position = 0;
  [[nodiscard]] kj::ArrayPtr<const capnp::word> segment() const {
    return {reinterpret_cast<const capnp::word*>(words.data()), words.size()};
  }
};

class SinkAppliance {
 public:
  struct Options {
    std::vector<SinkEvent> events;
    std::vector<std::string> paths;
    std::uint32_t worker_count = 1;
    std::uint64_t ring_bytes = 1U << 20U;
    std::int64_t max_future_us = 300'000'000;
    std::int64_t full_ring_wait_us = 50'000;
    std::vector<std::string> write_keys = {};
    bool durable = false;
    std::uint64_t address_events_per_s = 0;
    std::uint64_t key_events_per_s = 0;
    std::vector<std::string> trusted_proxies = {};
  };

  explicit SinkAppliance(const Options& options) : worker_count_(options.worker_count) {
    directory_ = make_scratch_directory("deja-ingest");
    SegmentPlan plan = plan_of(options);
    auto report = create_segment(plan);
    if (!report) std::fprintf(stderr, "%s\n", report.error().message().c_str());
    CHECK(report.ok());
    segment_.emplace(std::move(*Segment::open(directory_ + "/deja-test")));
    process_ = std::make_unique<ProcessFile>(
        std::move(*segment_->map("process-ingest", MappedFile::Mode::kReadWrite)), "ingest");
    for (std::uint32_t worker = 0; worker < worker_count_; ++worker) {
      const std::string number = std::to_string(worker);
      Worker& end = workers_.emplace_back(Worker{
          std::move(*segment_->map("consumed-" + number, MappedFile::Mode::kReadWrite)),
          std::move(*segment_->map("ring-0-" + number, MappedFile::Mode::kReadOnly)),
          std::move(*segment_->map("verdict-" + number + "-0", MappedFile::Mode::kReadWrite)),
          std::nullopt, std::nullopt});
      auto* consumed = &consumed_ring(end.consumed.at<ConsumedLayout>(), 0)->position;
      end.consumer.emplace(end.ring.data(), end.ring.bytes(), consumed);
      auto positions = segment_->map("ingest-0", MappedFile::Mode::kReadOnly);
      end.positions = std::make_unique<MappedFile>(std::move(*positions));
      end.verdicts.emplace(end.verdict.data(), end.verdict.bytes(),
                           &end.positions->at<const PositionLayout>()[worker].value);
    }
    durable_ = std::make_unique<MappedFile>(
        std::move(*segment_->map("durable", MappedFile::Mode::kReadWrite)));
    reopen_sink();
  }
  ~SinkAppliance() {
    sink_.reset();
    std::filesystem::remove_all(directory_);
  }
  SinkAppliance(const SinkAppliance&) = delete;
  SinkAppliance& operator=(const SinkAppliance&) = delete;

  [[nodiscard]] const Segment& segment() const { return *segment_; }
  [[nodiscard]] ProcessFile& process() { return *process_; }
  [[nodiscard]] EventSink& sink() { return *sink_; }
  /// A new life of the ingest process.
  void reopen_sink() {
    sink_.reset();
    sink_ = std::move(*EventSink::open(*segment_, 0, *process_));
  }

  /// All records that a worker has not taken yet; consumed at once unless `consume` is false.
  [[nodiscard]] std::vector<SinkRecord> records(std::uint32_t worker = 0, bool consume = true) {
    std::vector<SinkRecord> taken;
    RingConsumer& consumer = *workers_[worker].consumer;
    for (;;) {
      const RingRecord record = consumer.next();
      if (record.outcome != RingRecord::Outcome::kRecord) break;
      if (record.type == kRejectedEvent) {
        letters_.emplace_back(record.payload, record.payload + record.size_bytes);
        continue;
      }
      SinkRecord copy;
      copy.words.resize(record.size_bytes / 8);
      std::memcpy(copy.words.data(), record.payload, record.size_bytes);
      copy.end_position = record.end_position;
      taken.push_back(std::move(copy));
    }
    if (consume) this->consume(worker);
    return taken;
  }
  /// Rejected events that records() came past since the last call.
  [[nodiscard]] std::vector<std::vector<std::uint8_t>> take_letters() {
    return std::exchange(letters_, {});
  }
  /// Everything read by records() counts as consumed.
  void consume(std::uint32_t worker = 0) {
    workers_[worker].consumer->release(workers_[worker].consumer->read_position());
  }
  [[nodiscard]] RingConsumer* consumer(std::uint32_t worker) { return &*workers_[worker].consumer; }
  void consume_until(std::uint32_t worker, std::uint64_t position) {
    workers_[worker].consumer->release(position);
  }
  /// The keeper says that the ring is durable up to there.
  void make_durable(std::uint32_t worker, std::uint64_t position) {
    durable_->at<DurableLayout>()->positions()[worker].value.store(position,
                                                                   std::memory_order_release);
  }
  /// … and has been since then.
  void durable_since(std::int64_t durable_us) {
    durable_->at<DurableLayout>()->state.durable_us.store(durable_us, std::memory_order_relaxed);
  }
  /// … everything that records() has read.
  void make_durable(std::uint32_t worker = 0) {
    make_durable(worker, workers_[worker].consumer->read_position());
  }
  void set_journal(JournalState state) {
    durable_->at<DurableLayout>()->state.value.store(static_cast<std::uint64_t>(state),
                                                     std::memory_order_release);
  }
  void give_verdict(std::uint32_t worker, std::uint64_t end_position, RefusalReason reason) {
    RingProducer& verdicts = *workers_[worker].verdicts;
    std::uint8_t* at = verdicts.claim(sizeof(VerdictLayout));
    CHECK(at != nullptr);
    const VerdictLayout verdict{end_position, reason, {}};
    std::memcpy(at, &verdict, sizeof verdict);
    verdicts.commit(sizeof verdict, kVerdict);
    verdicts.publish();
  }

  [[nodiscard]] ProcessView view() const {
    return std::move(*ProcessView::read(segment_->path("process-ingest")));
  }
  /// The counter of that name, labels included; 0 where there is none.
  [[nodiscard]] std::uint64_t counter(const std::string& name) const {
    for (const auto& counter : view().counters) {
      if (counter.name == name) return counter.value;
    }
    return 0;
  }
  [[nodiscard]] std::uint64_t rejected(const std::string& code) const {
    return counter("deja_events_rejected_total{code=\"" + code + "\",thread=\"0\"}");
  }
  [[nodiscard]] std::uint64_t acks_refused(const std::string& code) const {
    return counter("deja_acks_refused_total{code=\"" + code + "\",thread=\"0\"}");
  }
  [[nodiscard]] std::uint64_t rejected_sum() const {
    std::uint64_t sum = 0;
    for (const auto& counter : view().counters) {
      if (counter.name.starts_with("deja_events_rejected_total")) sum += counter.value;
    }
    return sum;
  }

 private:
  struct Worker {
    MappedFile consumed;
    MappedFile ring;
    MappedFile verdict;
    std::optional<RingConsumer> consumer;
    std::optional<RingProducer> verdicts;
    std::unique_ptr<MappedFile> positions = nullptr;
  };

  SegmentPlan plan_of(const Options& options) const {
    SegmentPlan plan;
    plan.directory = directory_;
    plan.appliance = "test";
    plan.profiles_max = 64;
    plan.shard_count = 8;
    plan.worker_count = options.worker_count;
    plan.ingest_count = 1;
    plan.key_bytes = 40;
    plan.frame_bytes = 64;
    plan.ring_bytes = options.ring_bytes;
    plan.verdict_bytes = 4096;
    plan.huge_pages = HugePages::kOff;
    plan.catalog = test_catalog(options.events, options.paths);
    plan.settings = settings_of(options);
    const auto ring = [](std::uint64_t bytes) {
      return [bytes](std::uint8_t* memory) { format_ring(memory, bytes); };
    };
    const std::uint32_t workers = options.worker_count;
    for (std::uint32_t worker = 0; worker < workers; ++worker) {
      const std::string number = std::to_string(worker);
      const auto service = Audience::kService;
      plan.files.push_back({"consumed-" + number, consumed_file_bytes(1), service, {}});
      plan.files.push_back(
          {"ring-0-" + number, ring_file_bytes(plan.ring_bytes), service, ring(plan.ring_bytes)});
      plan.files.push_back({"verdict-" + number + "-0", ring_file_bytes(plan.verdict_bytes),
                            service, ring(plan.verdict_bytes)});
      plan.files.push_back({"bell-worker-" + number, sizeof(BellLayout), service, {}});
      plan.fifos.push_back("bell-worker-" + number + ".fifo");
    }
    plan.files.push_back({"ingest-0", ingest_file_bytes(workers), Audience::kService, {}});
    plan.files.push_back({"durable", durable_file_bytes(workers, 1), Audience::kService, {}});
    plan.files.push_back(
        {kTraceControlFile, trace_control_bytes(workers, 1), Audience::kService, {}});
    plan.files.push_back({"trace-ingest-0", trace_ingest_bytes(workers), Audience::kService, {}});
    plan.files.push_back({"process-ingest", ProcessFile::file_bytes(), Audience::kService, {}});
    return plan;
  }

  static std::vector<std::uint8_t> settings_of(const Options& options) {
    capnp::MallocMessageBuilder message;
    auto settings = message.initRoot<schema::Settings>();
    settings.setAppliance("test");
    settings.setMaxFutureUs(options.max_future_us);
    settings.setFullRingWaitUs(options.full_ring_wait_us);
    settings.setAck(options.durable ? schema::AckLevel::DURABLE : schema::AckLevel::APPLIED);
    settings.setAddressEventsPerS(options.address_events_per_s);
    settings.setKeyEventsPerS(options.key_events_per_s);
    auto proxies =
        settings.initTrustedProxies(static_cast<unsigned>(options.trusted_proxies.size()));
    for (unsigned at = 0; at < proxies.size(); ++at) proxies.set(at, options.trusted_proxies[at]);
    auto keys = settings.initWriteKeys(static_cast<unsigned>(options.write_keys.size()));
    for (unsigned at = 0; at < options.write_keys.size(); ++at) {
      keys.set(at, options.write_keys[at]);
    }
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    return {bytes.begin(), bytes.end()};
  }

  std::uint32_t worker_count_;
  std::string directory_;
  std::optional<Segment> segment_;
  std::unique_ptr<ProcessFile> process_;
  std::unique_ptr<MappedFile> durable_;
  std::deque<Worker> workers_;
  std::vector<std::vector<std::uint8_t>> letters_;
  std::unique_ptr<EventSink> sink_;
};

}  // namespace deja
