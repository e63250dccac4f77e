// A segment of a test's own, with the workers played by the test itself: it logs, publishes and
// counts as a worker does, and takes back what the keeper hands over. The keeper runs as a thread.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ring/event_record.capnp.h"
#include "ring/log_record.h"
#include "ring/positions.h"
#include "ring/return_record.h"
#include "ring/spsc_ring.h"
#include "shm/columns/column_size.h"
#include "shm/segment.h"
#include "shm/shard_writer.h"
#include "workers/features/feature_set.h"
#include "workers/journal/event_facts.h"
#include "workers/keeper/keeper.h"
#include "workers/segment_files.h"

namespace deja {

/// Waits for what another thread or process will do; false after ten seconds.
inline bool eventually(const std::function<bool()>& holds) {
  for (int attempt = 0; attempt < 2000; ++attempt) {
    if (holds()) return true;
    usleep(5000);
  }
  return false;
}

struct KeeperFeature {
  std::string name;
  schema::FeatureType type = schema::FeatureType::COUNT;
  std::uint64_t definition = 0;
};

struct TestPlan {
  std::string redis_url;
  std::string appliance = "shop";
  std::string where = "/tmp";             ///< its segment lies in a new folder there
  std::string durability_directory = {};  ///< empty: the appliance's own, gone with it
  std::uint32_t shard_count = 4;
  std::uint32_t worker_count = 2;
  std::int64_t loss_window_us = 60'000'000;
  std::int64_t group_commit_us = 0;
  std::vector<KeeperFeature> features = {{"views", schema::FeatureType::COUNT, 1},
                                         {"plan", schema::FeatureType::LAST, 2},
                                         {"image", schema::FeatureType::COUNT, 3}};
};

/// What a profile is, for comparisons.
struct TestProfile {
  std::uint64_t sequence = 0;
  std::int64_t updated_us = 0;
  std::uint32_t late = 0;
  std::string frame;
  bool operator==(const TestProfile&) const = default;
};

class KeeperAppliance {
 public:
  explicit KeeperAppliance(const TestPlan& plan) : plan_(plan) {
    std::string path = plan.where + "/deja-keeper-XXXXXX";
    if (mkdtemp(path.data()) != nullptr) directory_ = path;
    create();
  }
  ~KeeperAppliance() {
    if (keeper_thread_.joinable()) (void)stop_keeper();
    std::filesystem::remove_all(directory_);
  }
  KeeperAppliance(const KeeperAppliance&) = delete;
  KeeperAppliance& operator=(const KeeperAppliance&) = delete;

  [[nodiscard]] std::string segment_directory() const {
    return directory_ + "/deja-" + plan_.appliance;
  }
  [[nodiscard]] const Segment& segment() const { return *segment_; }
  [[nodiscard]] std::uint32_t shard_of_user(const std::string& user) const {
    return shard_of(user_key(user), plan_.shard_count);
  }
  [[nodiscard]] static Key user_key(const std::string& user) {
    return {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())};
  }
  [[nodiscard]] std::string redis_key(const std::string& user) const {
    return "'deja:{" + std::to_string(shard_of_user(user)) + "}:user:" + user + "'";
  }

  // --- a worker's step
  // ----------------------------------------------------------------------------

  /// One "view" of `item` by the user: logged, published, counted. Returns its sequence.
  std::uint64_t view(const std::string& user, const std::string& item = "p1") {
    const std::uint64_t sequence = log(user);
    publish(user, sequence, item);
    count(user, sequence);
    return sequence;
  }
  /// Step 2 alone.
  std::uint64_t log(const std::string& user, std::uint32_t flags = 0) {
    const std::uint32_t shard = shard_of_user(user);
    const std::uint64_t sequence = shards_[shard].sequence() + 1;
    append_log(shard, sequence, event_words(user, shard, ++id_), LogKind::kApplied, flags);
    return sequence;
  }
  [[nodiscard]] std::uint64_t last_ring_end() const { return ring_end_; }
  /// Steps 3 and 4.
  void publish(const std::string& user, std::uint64_t sequence, const std::string& item = "p1",
               std::uint16_t flags = 0) {
    ShardWriter& shard = shards_[shard_of_user(user)];
    // A worker begins nobody partially in a shard that the store has all of.
    if ((flags & kFlagPartial) != 0) shard.set_has_absent();
    ShardWriter::Draft draft = shard.begin(user_key(user));
    ASSERT_NE(draft.room, Room::kFull);
    Event event(features_->root_of_slot());
    event.kinds = 1;
    event.time_us = event.received_us = 1'700'000'000'000'000;
    ASSERT_TRUE(
        event.values.set(0, 0, Value::of(item.data(), static_cast<std::uint32_t>(item.size()))));
    (void)features_->apply(event, reinterpret_cast<std::uint8_t*>(draft.frame));
    draft.flags = flags;
    draft.sequence = sequence;
    draft.updated_us = event.received_us + static_cast<std::int64_t>(sequence);
    draft.late = static_cast<std::uint32_t>(sequence % 5);
    shard.publish(draft);
  }
  /// Step 6.
  void count(const std::string& user, std::uint64_t sequence) {
    shards_[shard_of_user(user)].set_sequence(sequence);
  }
  /// The store alone has the user from now on.
  void evict(const std::string& user) {
    ShardWriter& shard = shards_[shard_of_user(user)];
    shard.set_has_absent();
    ASSERT_TRUE(shard.clear(user_key(user)));
  }
  void append_log(std::uint32_t shard, std::uint64_t sequence, const std::string& event,
                  LogKind kind = LogKind::kApplied, std::uint32_t flags = 0,
                  RefusalReason reason = RefusalReason::kNone) {
    LogRecordLayout head{};
    head.reason = reason;
    head.flags = flags;
    head.ring_end = ring_end_ += 8;
    head.sequence = sequence;
    head.consumed_us = 1'700'000'000'000'000;
    head.shard = shard;
    head.kind = kind;
    head.event_bytes = static_cast<std::uint32_t>(event.size());
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    append_raw(segment_->geometry().owner_of(shard), bytes + event, kLogRecord);
  }
  void append_raw(std::uint32_t worker, const std::string& bytes, std::uint32_t type) {
    RingProducer& log = *workers_[worker].log;
    std::uint8_t* at = nullptr;
    ASSERT_TRUE(eventually([&] {
      at = log.claim(static_cast<std::uint32_t>(bytes.size()));
      return at != nullptr;
    }));
    std::memcpy(at, bytes.data(), bytes.size());
    log.commit(static_cast<std::uint32_t>(bytes.size()), type);
    log.publish();
  }
  [[nodiscard]] static std::string event_words(const std::string& user, std::uint32_t shard,
                                               std::uint64_t id = 0) {
    capnp::MallocMessageBuilder message;
    auto event = message.initRoot<schema::EventRecord>();
    event.setKinds(1);
    event.setIdLow(id);
    event.setShard(shard);
    event.setKey(
        kj::ArrayPtr<const kj::byte>(reinterpret_cast<const kj::byte*>(user.data()), user.size()));
    const auto words = message.getSegmentsForOutput()[0].asBytes();
    return {reinterpret_cast<const char*>(words.begin()), words.size()};
  }

  [[nodiscard]] std::optional<TestProfile> read(const std::string& user) {
    std::vector<std::uint64_t> words(segment_->geometry().block_bytes() / 8);
    ProfileCopy copy(words.data(), segment_->geometry());
    if (!shards_[shard_of_user(user)].read(user_key(user), copy)) return std::nullopt;
    const BlockHeaderLayout head = copy.header();
    return TestProfile{
        head.sequence, head.updated_us, head.late,
        std::string(reinterpret_cast<const char*>(copy.frame()), copy.frame_bytes())};
  }
  [[nodiscard]] std::uint64_t sequence(std::uint32_t shard) const {
    return shards_[shard].sequence();
  }
  [[nodiscard]] const FeatureSet& features() const { return *features_; }

  /// (shard, sequence) of the events that came back from the journal, and ids, in their order.
  using Place = std::pair<std::uint32_t, std::uint64_t>;
  [[nodiscard]] const std::vector<Place>& replayed() const { return replayed_; }
  [[nodiscard]] const std::vector<std::uint64_t>& ids() const { return ids_; }
  [[nodiscard]] std::string journal_directory() const {
    return (plan_.durability_directory.empty() ? directory_ : plan_.durability_directory) +
           "/journal";
  }
  [[nodiscard]] std::string letters_path() const {
    return (plan_.durability_directory.empty() ? directory_ : plan_.durability_directory) +
           "/dead_letters";
  }
  /// Position up to which ring 0 of the worker is durable.
  [[nodiscard]] std::uint64_t durable_position(std::uint32_t worker) const {
    return durable_file_->at<const DurableLayout>()->positions()[worker].value.load();
  }
  /// Since when the newest of that is, by the keeper's word.
  [[nodiscard]] std::int64_t durable_us() const {
    return durable_file_->at<const DurableLayout>()->state.durable_us.load();
  }
  /// Whether the keeper has given back all that the worker logged.
  [[nodiscard]] bool log_is_given_back(std::uint32_t worker) const {
    return keeper_logs(keeper_file_->data())[worker].drained_position.value.load() ==
           workers_[worker].log->published_position();
  }
  [[nodiscard]] JournalState journal_state() const {
    return static_cast<JournalState>(durable_file_->at<const DurableLayout>()->state.value.load());
  }
  /// What the keeper handed over for a partial profile: the type and the sequence of the image.
  [[nodiscard]] std::optional<std::pair<std::uint32_t, std::uint64_t>> take_part(
      const std::string& user) {
    WorkerEnds& worker = workers_[segment_->geometry().owner_of(shard_of_user(user))];
    const RingRecord record = worker.returned->next();
    if (record.outcome != RingRecord::Outcome::kRecord) return std::nullopt;
    ReturnProfileLayout head;
    std::memcpy(&head, record.payload, sizeof head);
    worker.returned->release(record.end_position);
    return std::pair{record.type, head.sequence};
  }

  // --- the keeper
  // ---------------------------------------------------------------------------------

  void start_keeper(KeeperOptions options = {}) {
    options.redis.connect_ms = 300;
    if (options.redis.silence_ms == RedisLimits{}.silence_ms) options.redis.silence_ms = 400;
    options.write_behind.backoff_max_ms = 100;
    Result<std::unique_ptr<Keeper>> keeper = Keeper::open(segment_directory(), options);
    ASSERT_TRUE(keeper.ok()) << keeper.error().message();
    keeper_ = std::move(*keeper);
    stop_.store(false);
    ended_.store(false);
    keeper_thread_ = std::thread([this] {
      const Status done = keeper_->run(stop_);
      keeper_says_ = done ? "" : done.error().message();
      ended_.store(true);
    });
  }
  /// Takes back what the keeper has, as workers do, until it says that this was all.
  [[nodiscard]] bool recover() {
    return eventually([&] { return ended_.load() || take_returned(); }) && !ended_.load();
  }
  /// Takes back what is there now; true once that was all.
  bool take_returned() {
    bool all = true;
    for (WorkerEnds& worker : workers_) all &= take_returned(worker);
    return all;
  }
  /// What the keeper ended with: empty when all went well.
  std::string stop_keeper() {
    stop_.store(true);
    return wait_for_keeper();
  }
  std::string wait_for_keeper() {
    if (keeper_thread_.joinable()) keeper_thread_.join();
    keeper_.reset();
    return keeper_says_;
  }
  [[nodiscard]] std::uint64_t watermark(std::uint32_t shard) const {
    return keeper_watermarks(keeper_file_->data(), plan_.worker_count)[shard].load();
  }
  [[nodiscard]] bool all_written() const {
    for (std::uint32_t shard = 0; shard < plan_.shard_count; ++shard) {
      if (watermark(shard) != sequence(shard)) return false;
    }
    return true;
  }
  [[nodiscard]] std::uint64_t counter(const std::string& name) const {
    const Result<ProcessView> view = ProcessView::read(segment_->path("process-keeper"));
    if (!view) return 0;
    for (const auto& counter : view->counters) {
      if (counter.name == name) return counter.value;
    }
    return 0;
  }
  /// How often a stage of an event's way was timed.
  [[nodiscard]] std::uint64_t timed(const std::string& stage) const {
    const Result<ProcessView> view = ProcessView::read(segment_->path("process-keeper"));
    if (!view) return 0;
    for (const auto& [name, copy] : view->histograms) {
      if (name == "deja_event_stage_seconds{stage=\"" + stage + "\"}") return copy.count;
    }
    return 0;
  }
  [[nodiscard]] bool has_error(const std::string& part) const {
    const Result<ProcessView> view = ProcessView::read(segment_->path("process-keeper"));
    if (!view) return false;
    for (const auto& error : view->errors) {
      if (error.text.find(part) != std::string::npos) return true;
    }
    return false;
  }

 private:
  struct WorkerEnds {
    std::uint32_t number = 0;
    std::unique_ptr<MappedFile> log_file;
    std::unique_ptr<MappedFile> worker_file;
    std::unique_ptr<MappedFile> return_file;
    std::unique_ptr<RingProducer> log;
    std::unique_ptr<RingConsumer> returned;
  };

  void create() {
    SegmentPlan plan;
    plan.directory = directory_;
    plan.appliance = plan_.appliance;
    plan.profiles_max = 2000;
    plan.shard_count = plan_.shard_count;
    plan.worker_count = plan_.worker_count;
    plan.ingest_count = 1;
    plan.key_bytes = 64;
    plan.ring_bytes = plan.verdict_bytes = 4096;
    plan.log_bytes = 1U << 16U;
    plan.return_bytes = 1U << 13U;
    plan.dedup_window = 16;
    plan.huge_pages = HugePages::kOff;
    plan.catalog = catalog_message(plan.frame_bytes);
    plan.settings = settings_message();
    add_service_files(plan);
    const Result<SegmentReport> made = create_segment(plan);
    ASSERT_TRUE(made.ok()) << made.error().message();
    Result<Segment> segment = Segment::open(segment_directory());
    ASSERT_TRUE(segment.ok()) << segment.error().message();
    segment_ = std::make_unique<Segment>(std::move(*segment));
    Result<FeatureSet> features = FeatureSet::compile(segment_->catalog());
    ASSERT_TRUE(features.ok()) << features.error().message();
    features_ = std::make_unique<FeatureSet>(std::move(*features));
    keeper_file_ = map("keeper", MappedFile::Mode::kReadOnly);
    durable_file_ = map("durable", MappedFile::Mode::kReadOnly);
    for (std::uint32_t worker = 0; worker < plan_.worker_count; ++worker) open_worker(worker);
    for (std::uint32_t shard = 0; shard < plan_.shard_count; ++shard) open_shard(shard);
  }
  void open_worker(std::uint32_t number) {
    const std::string text = std::to_string(number);
    WorkerEnds worker;
    worker.number = number;
    worker.log_file = map("log-" + text, MappedFile::Mode::kReadWrite);
    worker.worker_file = map("worker-" + text, MappedFile::Mode::kReadWrite);
    worker.return_file = map("return-" + text, MappedFile::Mode::kReadOnly);
    const auto* positions = keeper_logs(keeper_file_->data()) + number;
    worker.log = std::make_unique<RingProducer>(worker.log_file->data(), worker.log_file->bytes(),
                                                &positions->drained_position.value);
    worker.returned = std::make_unique<RingConsumer>(
        worker.return_file->data(), worker.return_file->bytes(),
        &worker.worker_file->at<WorkerLayout>()->returned_position.value);
    tables_.push_back(map("profiles-" + text, MappedFile::Mode::kReadWrite));
    workers_.push_back(std::move(worker));
  }
  void open_shard(std::uint32_t shard) {
    const TableGeometry& geometry = segment_->geometry();
    const SuperblockLayout& superblock = segment_->superblock();
    Result<ShardWriter> writer = ShardWriter::attach(
        tables_[geometry.owner_of(shard)]->data() + geometry.shard_offset(shard), geometry, shard,
        HashSecret{{superblock.hash_secret[0], superblock.hash_secret[1]}},
        superblock.reuse_blocks);
    ASSERT_TRUE(writer.ok()) << writer.error().message();
    shards_.push_back(std::move(*writer));
  }
  std::unique_ptr<MappedFile> map(const std::string& name, MappedFile::Mode mode) {
    Result<MappedFile> file = segment_->map(name, mode);
    CHECK(file.ok());
    return std::make_unique<MappedFile>(std::move(*file));
  }

  /// True once the worker has recovered.
  bool take_returned(WorkerEnds& worker) {
    auto& recovered = worker.worker_file->at<WorkerLayout>()->recovered.value;
    while (recovered.load() == 0) {
      const RingRecord record = worker.returned->next();
      if (record.outcome != RingRecord::Outcome::kRecord) return false;
      std::vector<std::uint8_t> bytes(record.payload, record.payload + record.size_bytes);
      if (record.type == kReturnProfile || record.type == kReturnNeeded) take_profile(bytes);
      if (record.type == kReturnShard) take_shard(bytes);
      if (record.type == kReturnEvent) take_event(bytes);
      if (record.type == kReturnIds) take_ids(bytes);
      if (record.type == kReturnEnd) recovered.store(1);
      worker.returned->release(record.end_position);
    }
    return true;
  }
  void take_profile(const std::vector<std::uint8_t>& bytes) {
    ReturnProfileLayout head;
    std::memcpy(&head, bytes.data(), sizeof head);
    const std::string user(reinterpret_cast<const char*>(bytes.data() + sizeof head),
                           head.key_size);
    ASSERT_EQ(head.frame_bytes, segment_->geometry().frame_bytes);
    ASSERT_EQ(bytes.size(), sizeof head + round_up(head.key_size, 8) + head.frame_bytes);
    ShardWriter& shard = shards_[head.shard];
    ShardWriter::Draft draft = shard.begin(user_key(user));
    std::memcpy(draft.frame, bytes.data() + bytes.size() - head.frame_bytes, head.frame_bytes);
    draft.sequence = head.sequence;
    draft.updated_us = head.updated_us;
    draft.late = head.late;
    shard.publish(draft);
  }
  void take_event(const std::vector<std::uint8_t>& bytes) {
    ReturnEventLayout head;
    std::memcpy(&head, bytes.data(), sizeof head);
    ASSERT_EQ(bytes.size(), sizeof head + head.event_bytes);
    std::vector<std::uint64_t> words(head.event_bytes / 8);
    std::memcpy(words.data(), bytes.data() + sizeof head, head.event_bytes);
    EventFacts facts;
    ASSERT_EQ(read_event_facts(words.data(), words.size(), 64, facts), nullptr);
    ASSERT_EQ(facts.shard, head.shard);  // a worker refuses it else
    const std::string user(facts.key.bytes, facts.key.size);
    const std::optional<TestProfile> known = read(user);
    replayed_.push_back({head.shard, head.sequence});
    if (!known || known->sequence < head.sequence) publish(user, head.sequence);
  }
  void take_ids(const std::vector<std::uint8_t>& bytes) {
    ReturnIdsLayout head;
    std::memcpy(&head, bytes.data(), sizeof head);
    ASSERT_EQ(bytes.size(), sizeof head + head.count * 16U);
    for (std::uint32_t at = 0; at < head.count; ++at) {
      std::uint64_t low = 0;
      std::memcpy(&low, bytes.data() + sizeof head + at * 16U, 8);
      ids_.push_back(low);
    }
  }
  void take_shard(const std::vector<std::uint8_t>& bytes) {
    ReturnShardLayout head;
    ASSERT_EQ(bytes.size(), sizeof head);
    std::memcpy(&head, bytes.data(), sizeof head);
    shards_[head.shard].set_sequence(head.sequence);
  }

  template <typename Builder>
  static std::vector<std::uint8_t> flat(Builder& message) {
    const kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
    return {words.asBytes().begin(), words.asBytes().end()};
  }
  [[nodiscard]] std::vector<std::uint8_t> settings_message() const {
    capnp::MallocMessageBuilder message;
    auto settings = message.initRoot<schema::Settings>();
    settings.setAppliance(plan_.appliance);
    settings.setRedisUrl(plan_.redis_url);
    settings.setFlushEveryUs(2000);
    settings.setDurabilityDirectory(
        plan_.durability_directory.empty() ? directory_ : plan_.durability_directory);
    settings.setLossWindowUs(plan_.loss_window_us);
    settings.setGroupCommitUs(plan_.group_commit_us);
    return flat(message);
  }
  [[nodiscard]] std::vector<std::uint8_t> catalog_message(std::uint32_t& frame_bytes) const {
    capnp::MallocMessageBuilder message;
    auto catalog = message.initRoot<schema::Catalog>();
    catalog.setAppliance(plan_.appliance);
    catalog.setKeyBytes(64);
    auto event = catalog.initEvents(1)[0];
    event.setName("view");
    event.setMatch("Product Viewed");
    auto field = event.initFields(1)[0];
    field.setName("item");
    catalog.initSlots(1)[0].setPath("properties.item");
    auto features = catalog.initFeatures(static_cast<unsigned>(plan_.features.size()));
    frame_bytes = 0;
    for (unsigned at = 0; at < plan_.features.size(); ++at) {
      auto feature = features[at];
      feature.setName(plan_.features[at].name);
      feature.setType(plan_.features[at].type);
      feature.setDefinition(plan_.features[at].definition);
      feature.setPanes(1);
      feature.initSources(1)[0].setWeight(1);
      if (plan_.features[at].type == schema::FeatureType::LAST) {
        feature.setOf("item");
        feature.setTextBytes(16);
      }
      feature.setOffset(frame_bytes);
      feature.setBytes(column_bytes(feature_spec(feature.asReader())));
      frame_bytes += feature.getBytes();
    }
    catalog.setFrameBytes(frame_bytes);
    return flat(message);
  }

  TestPlan plan_;
  std::string directory_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<FeatureSet> features_;
  std::unique_ptr<MappedFile> keeper_file_;
  std::unique_ptr<MappedFile> durable_file_;
  std::uint64_t ring_end_ = 0;
  std::uint64_t id_ = 0;
  std::vector<Place> replayed_;
  std::vector<std::uint64_t> ids_;
  std::vector<WorkerEnds> workers_;
  std::vector<std::unique_ptr<MappedFile>> tables_;
  std::vector<ShardWriter> shards_;
  std::unique_ptr<Keeper> keeper_;
  std::thread keeper_thread_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  std::string keeper_says_;
};

}  // namespace deja
