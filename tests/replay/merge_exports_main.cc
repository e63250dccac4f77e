// For tests: reads the profiles of two living appliances of one config, merges them user by user
// and prints them as `deja export` would: merge_exports SEGMENT_A SEGMENT_B AT_US
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "shm/segment.h"
#include "shm/shard_reader.h"
#include "shm/value_json.h"
#include "workers/features/feature_set.h"

namespace deja {
namespace {

struct Profile {
  ProfileFacts facts;
  std::vector<std::uint64_t> frame;  // words, so that it is aligned

  [[nodiscard]] std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(frame.data()); }
};

/// By namespace and key: the map owns the bytes that Key views.
using Profiles = std::map<std::pair<KeyNamespace, std::string>, Profile>;

template <typename T>
T value_or_exit(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "merge_exports: %s\n", result.error().message().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

void merge_segment(const Segment& segment, const FeatureSet& features, Profiles& profiles) {
  const SuperblockLayout& superblock = segment.superblock();
  const TableGeometry& geometry = segment.geometry();
  const HashSecret secret{{superblock.hash_secret[0], superblock.hash_secret[1]}};
  std::vector<std::uint64_t> memory(geometry.block_bytes() / 8);
  for (std::uint32_t worker = 0; worker < geometry.worker_count; ++worker) {
    const MappedFile file = value_or_exit(
        segment.map("profiles-" + std::to_string(worker), MappedFile::Mode::kReadOnly));
    for (std::uint32_t shard = worker; shard < geometry.shard_count;
         shard += geometry.worker_count) {
      const ShardReader<> reader(file.data() + geometry.shard_offset(shard), geometry, secret);
      ProfileCopy copy(memory.data(), geometry);
      reader.for_each(copy, [&](const ProfileCopy& seen) {
        const Key key = seen.key();
        Profile& into = profiles[{key.name_space, std::string(key.bytes, key.size)}];
        into.facts.sequence = std::max(into.facts.sequence, seen.sequence());
        into.frame.resize(features.frame_bytes() / 8);
        features.merge(into.bytes(), reinterpret_cast<const std::uint8_t*>(seen.frame()));
      });
    }
  }
}

int run(const char* segment_a, const char* segment_b, std::int64_t at_us) {
  const Segment a = value_or_exit(Segment::open(segment_a));
  const Segment b = value_or_exit(Segment::open(segment_b));
  const FeatureSet features = value_or_exit(FeatureSet::compile(a.catalog()));
  Profiles profiles;
  merge_segment(a, features, profiles);
  merge_segment(b, features, profiles);

  std::vector<NamedFeature> named;
  for (std::size_t at = 0; at < features.specs().size(); ++at) {
    named.push_back({features.names()[at], features.specs()[at]});
  }
  std::string line;
  for (auto& [name, profile] : profiles) {
    line.clear();
    profile.facts.key = {name.first, name.second.data(),
                         static_cast<std::uint32_t>(name.second.size())};
    append_profile_json(line, profile.facts, named, profile.bytes(), at_us);
    std::puts(line.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace deja

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: merge_exports SEGMENT_A SEGMENT_B AT_US\n");
    return 2;
  }
  return deja::run(arguments[1], arguments[2], std::strtoll(arguments[3], nullptr, 10));
}
