// A segment's files: an input is a list of edits to those of a small appliance that serves six
// users, as somebody who can write to them could make before anybody opens them. Then everybody
// who attaches does: the service, the owner of each shard, a renderer through libdeja, and whoever
// looks at a process. Each of them refuses with a reason, or reads on: no access outside, and no
// more profiles than there are blocks; and an owner that took a shard over can go on writing it.
//
//   edit: 0      1        5        6
//         ┌──────┬────────┬────────┬────────────────────────────────────────────────────┐
//         │ file │ offset │ size   │ the new bytes; none where the file is cut short    │
//         └──────┴────────┴────────┴────────────────────────────────────────────────────┘
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "shm/deja.h"
#include "shm/process_file.h"
#include "shm/segment.h"
#include "shm/shard_writer.h"
#include "shm/token.h"
#include "tests/fuzz/feature_world.h"
#include "tests/fuzz/pristine_file.h"
#include "tests/support/scratch.h"
#include "tests/support/test_appliance.h"
#include "workers/segment_files.h"

// libdeja naps while a newer incarnation could be on its way; here nobody makes one.
extern "C" int nanosleep(const timespec*, timespec*) {
  return 0;
}

namespace deja::fuzz {
namespace {

constexpr std::array<const char*, 6> kFiles = {"superblock", "catalog",    "settings",
                                               "profiles-0", "consumed-0", "process-worker-0"};
constexpr std::uint8_t kCutShort = 0x80;
constexpr std::uint32_t kEditsMax = 64;
constexpr std::int64_t kThenUs = 1'700'000'000'000'000;
constexpr std::array<const char*, 7> kUsers = {"ann", "bob", "cy", "dee", "eve", "fay", "nobody"};

Key key_of(const char* user) {
  return {KeyNamespace::kUser, user, static_cast<std::uint32_t>(std::strlen(user))};
}

class SegmentWorld {
 public:
  SegmentWorld() {
    directory_ = make_scratch_directory("deja-fuzz");
    create();
    std::optional<Segment> segment = std::move(*Segment::open(segment_directory()));
    settle_superblock(*segment);
    segment.emplace(std::move(*Segment::open(segment_directory())));
    put_users(*segment);
    process_path_ = segment->path("process-worker-0");
    show_process(*segment);
    for (const char* name : kFiles) {
      const bool is_first = std::string_view(name) == kFiles[0];
      const std::string path = is_first ? segment->stable_path(name) : segment->path(name);
      files_.emplace_back(path, std::move(*MappedFile::open(path, MappedFile::Mode::kReadWrite)));
    }
  }
  ~SegmentWorld() { std::filesystem::remove_all(directory_); }
  SegmentWorld(const SegmentWorld&) = delete;
  SegmentWorld& operator=(const SegmentWorld&) = delete;

  void run(Input input) {
    for (std::uint32_t edits = 0; edits < kEditsMax && !input.empty(); ++edits) {
      const auto which = input.take<std::uint8_t>();
      PristineFile& file = files_[(which & 0x7fU) % files_.size()];
      const auto offset = input.take<std::uint32_t>();
      if ((which & kCutShort) != 0) {
        file.cut_short(offset);
      } else {
        file.edit(offset, input.take_bytes(input.take<std::uint8_t>()));
      }
    }
    attach_as_service();
    attach_as_renderer();
    look_at_process();
    for (PristineFile& file : files_) file.restore();
  }

 private:
  [[nodiscard]] std::string segment_directory() const { return directory_ + "/deja-fuzz"; }

  void create() {
    SegmentPlan plan;
    plan.directory = directory_;
    plan.appliance = "fuzz";
    plan.profiles_max = 8;
    plan.shard_count = 2;
    plan.worker_count = 1;
    plan.ingest_count = 1;
    plan.key_bytes = 24;
    plan.frame_bytes = world_.features().frame_bytes();
    plan.ring_bytes = plan.log_bytes = plan.return_bytes = plan.verdict_bytes = 4096;
    plan.dedup_window = 16;
    plan.huge_pages = HugePages::kOff;
    capnp::MallocMessageBuilder catalog;
    catalog.setRoot(world_.catalog());
    plan.catalog = flat_bytes(catalog);
    plan.settings = build_settings(TestAppliance::small());
    add_service_files(plan);
    CHECK(create_segment(plan).ok());
  }

  /// What differs from one segment to the next, and would have an input mean another thing.
  static void settle_superblock(const Segment& segment) {
    MappedFile file = std::move(*segment.map_superblock_for_writing());
    auto& superblock = *file.at<SuperblockLayout>();
    std::memset(superblock.boot_id, 7, sizeof superblock.boot_id);
    superblock.created_us = kThenUs;
    superblock.supervisor_pid = 1;
    superblock.hash_secret[0] = 77;
    superblock.hash_secret[1] = 99;
    superblock.state.store(SegmentState::kServing);
    superblock.heartbeat_us.store(kThenUs);
  }

  void put_users(const Segment& segment) {
    MappedFile profiles = std::move(*segment.map("profiles-0", MappedFile::Mode::kReadWrite));
    const TableGeometry& geometry = segment.geometry();
    Event& event = world_.event();
    for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
      auto writer = std::move(*ShardWriter::attach(profiles.data() + geometry.shard_offset(shard),
                                                   geometry, shard, secret_of(segment), 4));
      for (const char* user : kUsers) {
        if (key_of(user) == key_of("nobody")) continue;
        if (shard_of(key_of(user), geometry.shard_count) != shard) continue;
        ShardWriter::Draft draft = writer.begin(key_of(user));
        CHECK(draft.room == Room::kNew);
        event.values.clear();
        event.time_us = event.received_us = kThenUs;
        event.kinds = 7;
        CHECK(event.values.set(0, 0, Value::of("p1", 2)) && event.values.set(2, 0, Value::of(9)) &&
              event.values.set(3, 1, Value::of("p2", 2)) && event.values.set(5, 0, Value::of(3)));
        (void)world_.features().apply(event, reinterpret_cast<std::uint8_t*>(draft.frame));
        draft.sequence = 1;
        draft.updated_us = kThenUs;
        writer.publish(draft);
      }
    }
  }

  static void show_process(const Segment& segment) {
    ProcessFile process(std::move(*segment.map("process-worker-0", MappedFile::Mode::kReadWrite)),
                        "worker-0");
    process.counter("deja_events_applied_total").add(6);
    process.histogram("deja_event_visible_seconds").record(1000);
    process.error("an error");
    MappedFile file = std::move(*segment.map("process-worker-0", MappedFile::Mode::kReadWrite));
    auto* header = file.at<ProcessHeaderLayout>();
    header->pid.store(1);
    header->started_us.store(kThenUs);
    header->heartbeat_us.store(kThenUs);
  }

  static HashSecret secret_of(const Segment& segment) {
    return {{segment.superblock().hash_secret[0], segment.superblock().hash_secret[1]}};
  }

  void attach_as_service() {
    const Result<Segment> segment = Segment::open(segment_directory());
    if (!segment.ok()) {
      CHECK(!segment.error().message().empty());
      return;
    }
    (void)FeatureSet::compile(segment->catalog()).ok();
    const TableGeometry& geometry = segment->geometry();
    for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
      const auto profiles =
          segment->map(profiles_file(geometry.owner_of(shard)), MappedFile::Mode::kReadOnly);
      CHECK(profiles.ok() && profiles->bytes() >= geometry.file_bytes(geometry.owner_of(shard)));
      const std::uint8_t* memory = profiles->data() + geometry.shard_offset(shard);
      read_shard(memory, geometry, secret_of(*segment));
      own_shard(memory, geometry, shard, secret_of(*segment));
    }
  }

  static std::uint64_t read_shard(const void* memory, const TableGeometry& geometry,
                                  const HashSecret& secret) {
    const ShardReader<> reader(memory, geometry, secret);
    std::vector<std::uint64_t> words(geometry.block_bytes() / 8);
    ProfileCopy copy(words.data(), geometry);
    std::uint64_t found = 0;
    (void)reader.for_each(copy, [&](const ProfileCopy& profile) {
      CHECK(profile.key().size <= geometry.key_bytes);
      ++found;
    });
    for (const char* user : kUsers) {
      if (std::strlen(user) <= geometry.key_bytes) (void)reader.get(key_of(user), copy);
    }
    return found;
  }

  /// On a copy: the owner may write.
  static void own_shard(const std::uint8_t* memory, const TableGeometry& geometry,
                        std::uint32_t shard, const HashSecret& secret) {
    const std::unique_ptr<std::uint8_t, void (*)(std::uint8_t*)> copy(
        static_cast<std::uint8_t*>(std::aligned_alloc(kCacheLineBytes, geometry.shard_bytes())),
        [](std::uint8_t* bytes) { std::free(bytes); });
    std::memcpy(copy.get(), memory, geometry.shard_bytes());
    Result<ShardWriter> writer = ShardWriter::attach(copy.get(), geometry, shard, secret, 4);
    if (!writer.ok()) {
      CHECK(!writer.error().message().empty());
      return;
    }
    // What could be taken over is a table as any other.
    CHECK(read_shard(copy.get(), geometry, secret) == writer->used_count());
    for (const char* user : kUsers) {
      if (std::strlen(user) > geometry.key_bytes) continue;
      const bool was_there = writer->contains(key_of(user));
      ShardWriter::Draft draft = writer->begin(key_of(user));
      CHECK(was_there == (draft.room == Room::kKnown));
      if (draft.room == Room::kFull) continue;
      draft.sequence = 2;
      writer->publish(draft);
      CHECK(writer->contains(key_of(user)));
    }
    CHECK(read_shard(copy.get(), geometry, secret) == writer->used_count());
    for (const char* user : kUsers) {
      if (std::strlen(user) <= geometry.key_bytes) (void)writer->clear(key_of(user));
    }
    CHECK(read_shard(copy.get(), geometry, secret) == writer->used_count());
  }

  void attach_as_renderer() {
    deja_appliance* appliance = nullptr;
    const deja_status status = deja_open("fuzz", directory_.c_str(), &appliance);
    CHECK((status == DEJA_OK) == (appliance != nullptr));
    CHECK(std::string_view(deja_status_text(status)) != "unknown status");
    if (status != DEJA_OK) return;
    std::vector<std::uint64_t> words(deja_profile_bytes(appliance) / 8);
    auto* profile = reinterpret_cast<deja_profile*>(words.data());
    deja_cursor cursor{};
    while (deja_next(appliance, &cursor, profile) != DEJA_END) read_profile(appliance, profile);
    for (const char* user : kUsers) {
      const auto size = static_cast<std::uint32_t>(std::strlen(user));
      if (deja_get(appliance, deja_user(user, size), profile) == DEJA_OK) {
        read_profile(appliance, profile);
      }
    }
    const TokenPart part{0, 0, 8};
    std::array<char, token_bytes_max(1)> token;
    CHECK(format_token(deja_incarnation(appliance), &part, 1, token.data(), token.size()) != 0);
    const deja_status waited = deja_wait(appliance, token.data(), 0);
    CHECK(waited == DEJA_OK || waited == DEJA_TIMEOUT || waited == DEJA_STALE);
    (void)deja_heartbeat_us(appliance);
    deja_close(appliance);
  }

  static void read_profile(const deja_appliance* appliance, const deja_profile* profile) {
    CHECK(deja_profile_key(profile).size <= kKeyBytesMax);
    (void)deja_age_us(profile, kThenUs);
    for (deja_feature feature = 0; feature < deja_feature_count(appliance); ++feature) {
      double number = 0;
      deja_scalar scalar;
      std::array<deja_item, 4> items;
      deja_session_state session;
      std::uint32_t count = 0;
      CHECK(deja_feature_name(appliance, feature) != nullptr);
      if (deja_number(appliance, profile, feature, kThenUs, &number) == DEJA_OK) {
        CHECK(std::isfinite(number));
      }
      if (deja_value(appliance, profile, feature, &scalar) == DEJA_OK && scalar.kind == DEJA_TEXT) {
        CHECK(sum_of(scalar.text, scalar.text_bytes) >= 0);
      }
      if (deja_items(appliance, profile, feature, kThenUs, items.data(), items.size(), &count) ==
          DEJA_OK) {
        CHECK(count <= items.size());
        for (std::uint32_t at = 0; at < count; ++at) {
          CHECK(sum_of(items[at].text, items[at].text_bytes) >= 0);
        }
      }
      (void)deja_session(appliance, profile, feature, kThenUs, &session);
      (void)deja_is_estimate(appliance, profile, feature, kThenUs);
    }
  }

  /// Touches every byte.
  static int sum_of(const char* text, std::uint32_t bytes) {
    unsigned sum = 0;
    for (std::uint32_t at = 0; at < bytes; ++at) sum += static_cast<unsigned char>(text[at]);
    return static_cast<int>(sum);
  }

  void look_at_process() const {
    const Result<ProcessView> view = ProcessView::read(process_path_);
    if (!view.ok()) return;
    CHECK(view->counters.size() <= kCountersMax && view->errors.size() <= kErrorsMax);
    for (const auto& counter : view->counters) CHECK(counter.name.size() <= 112);
    for (const auto& error : view->errors) CHECK(error.text.size() <= 224);
  }

  FeatureWorld world_;
  std::string directory_;
  std::string process_path_;
  std::vector<PristineFile> files_;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static deja::fuzz::SegmentWorld world;
  world.run({data, size});
  return 0;
}
