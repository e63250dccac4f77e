// An appliance's files made by hand, without the product's own segment code: what libdeja reads,
// and nothing more. Each test may break any byte of them.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "shm/base/check.h"
#include "shm/catalog.capnp.h"
#include "shm/columns/column_size.h"
#include "shm/consumed_layout.h"
#include "shm/deja.h"
#include "shm/layout_hash.h"
#include "shm/shard_writer.h"
#include "shm/superblock.h"

namespace deja::libdeja_test {

struct HandFeature {
  std::string name;
  FeatureSpec spec;
};

/// A spec of a type with ordinary settings.
inline FeatureSpec spec_of(FeatureType type, std::int64_t window_us = 0) {
  FeatureSpec spec;
  spec.type = type;
  spec.window_us = window_us;
  spec.panes = window_us == 0 ? 1 : 12;
  spec.keep = 4;
  spec.track = 8;
  spec.text_bytes = 16;
  spec.gap_us = 1'800'000'000;
  return spec;
}

/// Features of every type, with and without a window where the type can have one.
inline std::vector<HandFeature> all_features() {
  std::vector<HandFeature> features;
  const std::map<std::string, FeatureType> types = {
      {"count", FeatureType::kCount},     {"sum", FeatureType::kSum},
      {"min", FeatureType::kMin},         {"max", FeatureType::kMax},
      {"mean", FeatureType::kMean},       {"first", FeatureType::kFirst},
      {"last", FeatureType::kLast},       {"recent", FeatureType::kRecent},
      {"top", FeatureType::kTop},         {"distinct", FeatureType::kDistinct},
      {"session", FeatureType::kSession}, {"trait", FeatureType::kTrait}};
  for (const auto& [name, type] : types) {
    features.push_back({name, spec_of(type)});
    const FeatureSpec windowed = spec_of(type, 3'600'000'000);
    if (spec_fault(windowed) == nullptr) features.push_back({name + "_1h", windowed});
  }
  return features;
}

/// Gives the features their places in the frame; its size.
inline std::uint32_t lay_out(std::vector<HandFeature>& features) {
  std::uint32_t frame_bytes = 0;
  for (HandFeature& feature : features) {
    feature.spec.offset = frame_bytes;
    feature.spec.bytes = column_bytes(feature.spec);
    frame_bytes += feature.spec.bytes;
  }
  return frame_bytes;
}

inline std::vector<std::uint8_t> catalog_message(const std::vector<HandFeature>& features) {
  capnp::MallocMessageBuilder builder(1U << 16U);
  auto catalog = builder.initRoot<schema::Catalog>();
  catalog.setAppliance("hand");
  auto list = catalog.initFeatures(static_cast<unsigned>(features.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    const FeatureSpec& spec = features[at].spec;
    auto feature = list[at];
    feature.setName(features[at].name);
    feature.setType(static_cast<schema::FeatureType>(spec.type));
    feature.setOffset(spec.offset);
    feature.setBytes(spec.bytes);
    feature.setWindowUs(spec.window_us);
    feature.setPanes(spec.panes);
    feature.setTumbling(spec.tumbling);
    feature.setKeep(spec.keep);
    feature.setTrack(spec.track);
    feature.setTextBytes(spec.text_bytes);
    feature.setHalfLifeUs(spec.half_life_us);
    feature.setGapUs(spec.gap_us);
  }
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

class SegmentByHand {
 public:
  struct Options {
    std::vector<HandFeature> features = all_features();
    std::uint64_t profiles_max = 200;
    std::uint32_t shard_count = 8;
    std::uint32_t worker_count = 3;
    std::uint32_t ingest_count = 2;
    std::uint32_t key_bytes = 24;
  };

  explicit SegmentByHand(Options options) : options_(std::move(options)) {
    char directory[] = "/tmp/deja-hand-XXXXXX";
    CHECK(mkdtemp(directory) != nullptr);
    directory_ = directory;
    CHECK(mkdir(segment_path("").c_str(), 0755) == 0);
    make_incarnation(1000);
  }
  SegmentByHand() : SegmentByHand(Options{}) {}
  ~SegmentByHand() {
    unmap_all();
    std::filesystem::remove_all(directory_);
  }
  SegmentByHand(const SegmentByHand&) = delete;
  SegmentByHand& operator=(const SegmentByHand&) = delete;

  /// For deja_open: the name is "hand".
  [[nodiscard]] const char* directory() const { return directory_.c_str(); }
  [[nodiscard]] std::string segment_path(const std::string& file) const {
    return directory_ + "/deja-hand/" + file;
  }
  [[nodiscard]] std::string path_now(const std::string& file) const {
    return segment_path(file + "." + std::to_string(incarnation_));
  }

  /// A file of this incarnation, mapped for writing.
  [[nodiscard]] std::uint8_t* file(const std::string& name) { return files_.at(name).first; }
  [[nodiscard]] SuperblockLayout& superblock() {
    return *reinterpret_cast<SuperblockLayout*>(file("superblock"));
  }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }
  [[nodiscard]] const std::vector<HandFeature>& features() const { return options_.features; }

  void consume(std::uint32_t worker, std::uint32_t ring, std::uint64_t position) {
    auto* consumed = reinterpret_cast<ConsumedLayout*>(file("consumed-" + std::to_string(worker)));
    consumed_ring(consumed, ring)->position.store(position, std::memory_order_release);
  }

  [[nodiscard]] ShardWriter& writer_of(const Key& key) {
    return writers_[shard_of(key, geometry_.shard_count)];
  }

  /// Publishes a profile with this frame (zeros behind it).
  void put(const std::string& user, const std::vector<std::uint8_t>& frame,
           std::uint64_t sequence = 1, std::int64_t updated_us = 0,
           KeyNamespace name_space = KeyNamespace::kUser) {
    const Key key{name_space, user.data(), static_cast<std::uint32_t>(user.size())};
    ShardWriter& writer = writer_of(key);
    ShardWriter::Draft draft = writer.begin(key);
    CHECK(draft.room != Room::kFull);
    std::memset(draft.frame, 0, geometry_.frame_bytes);
    if (!frame.empty()) std::memcpy(draft.frame, frame.data(), frame.size());
    draft.sequence = sequence;
    draft.updated_us = updated_us;
    writer.publish(draft);
  }

  /// New files under a new incarnation, renamed in; the old superblock says so, as the product
  /// does.
  void next_incarnation(Options options) {
    superblock().state.store(SegmentState::kSuperseded, std::memory_order_release);
    const std::uint64_t old = incarnation_;
    unmap_all();
    options_ = std::move(options);
    make_incarnation(old + 1);
    for (const auto& entry : std::filesystem::directory_iterator(segment_path(""))) {
      if (entry.path().extension() == "." + std::to_string(old)) {
        std::filesystem::remove(entry.path());
      }
    }
  }

 private:
  void make_incarnation(std::uint64_t incarnation) {
    incarnation_ = incarnation;
    const std::uint32_t frame_bytes = lay_out(options_.features);
    geometry_ = TableGeometry::plan(options_.profiles_max, options_.shard_count,
                                    options_.worker_count, options_.key_bytes, frame_bytes);
    const std::vector<std::uint8_t> catalog = catalog_message(options_.features);
    std::memcpy(make("catalog", path_now("catalog"), catalog.size()), catalog.data(),
                catalog.size());
    const HashSecret secret{{incarnation * 77, 99}};
    for (std::uint32_t worker = 0; worker < geometry_.worker_count; ++worker) {
      const std::string number = std::to_string(worker);
      make("profiles-" + number, path_now("profiles-" + number), geometry_.file_bytes(worker));
      auto* consumed = new (make("consumed-" + number, path_now("consumed-" + number),
                                 consumed_file_bytes(options_.ingest_count))) ConsumedLayout;
      consumed->ring_count = options_.ingest_count;
      consumed->magic.store(kConsumedMagic, std::memory_order_release);
    }
    for (std::uint32_t shard = 0; shard < geometry_.shard_count; ++shard) {
      std::uint8_t* memory = file("profiles-" + std::to_string(geometry_.owner_of(shard))) +
                             geometry_.shard_offset(shard);
      Result<ShardWriter> writer =
          ShardWriter::attach(memory, geometry_, shard, secret, kReuseBlocksDefault);
      CHECK(writer.ok());
      writers_.push_back(std::move(*writer));
    }
    const std::string temporary = segment_path("superblock.new");
    auto* header = new (make("superblock", temporary, 4096)) SuperblockLayout;
    header->layout_version = kLayoutVersion;
    header->layout_hash = layout_hash();
    header->incarnation = incarnation;
    header->hash_secret[0] = secret.words[0];
    header->hash_secret[1] = secret.words[1];
    header->catalog_bytes = catalog.size();
    header->ingest_count = options_.ingest_count;
    header->worker_count = geometry_.worker_count;
    header->shard_count = geometry_.shard_count;
    header->shard_function = ShardFunction::kMurmur2;
    header->blocks_per_shard = geometry_.blocks_per_shard;
    header->main_buckets = geometry_.main_buckets;
    header->overflow_buckets = geometry_.overflow_buckets;
    header->key_bytes = geometry_.key_bytes;
    header->frame_bytes = geometry_.frame_bytes;
    header->state.store(SegmentState::kServing, std::memory_order_relaxed);
    header->magic.store(kSuperblockMagic, std::memory_order_release);
    CHECK(std::rename(temporary.c_str(), segment_path("superblock").c_str()) == 0);
  }

  std::uint8_t* make(const std::string& name, const std::string& path, std::uint64_t bytes) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    CHECK(descriptor >= 0);
    CHECK(ftruncate(descriptor, static_cast<off_t>(bytes)) == 0);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    CHECK(memory != MAP_FAILED);
    close(descriptor);
    files_[name] = {static_cast<std::uint8_t*>(memory), bytes};
    return files_[name].first;
  }
  void unmap_all() {
    writers_.clear();
    for (const auto& [name, mapping] : files_) munmap(mapping.first, mapping.second);
    files_.clear();
  }

  Options options_;
  std::string directory_;
  std::uint64_t incarnation_ = 0;
  TableGeometry geometry_;
  std::map<std::string, std::pair<std::uint8_t*, std::uint64_t>> files_;
  std::vector<ShardWriter> writers_;
};

/// An open handle that closes itself.
class Opened {
 public:
  explicit Opened(const SegmentByHand& segment)
      : status_(deja_open("hand", segment.directory(), &appliance_)) {}
  ~Opened() { deja_close(appliance_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  [[nodiscard]] deja_status status() const { return status_; }
  [[nodiscard]] deja_appliance* get() const { return appliance_; }
  [[nodiscard]] deja_profile* profile() {
    memory_.resize(deja_profile_bytes(appliance_) / 8);
    return reinterpret_cast<deja_profile*>(memory_.data());
  }

 private:
  deja_appliance* appliance_ = nullptr;
  deja_status status_;
  std::vector<std::uint64_t> memory_;
};

inline deja_key user(const std::string& id) {
  return deja_user(id.data(), static_cast<std::uint32_t>(id.size()));
}

}  // namespace deja::libdeja_test
