// A whole config, checked: what the rest of Deja goes by. Made by load_config(); plain data,
// immutable afterwards, any thread. README.md has the table of keys and their defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/feature_spec.h"
#include "shm/mapped_file.h"
#include "shm/value.h"
#include "tools/config/config_error.h"
#include "tools/config/listen_address.h"
#include "tools/config/toml_tree.h"

namespace deja {

inline constexpr std::size_t kDeclaredEventsMax = 63;  ///< a record has 64 bits; one is $identify's
inline constexpr std::size_t kSlotsMax = 256;
inline constexpr std::size_t kFeaturesMax = 256;
inline constexpr std::uint32_t kProfileFrameBytesMax = 64 * 1024;
inline constexpr const char* kIdentifyEvent = "$identify";

// The numbers of schema::Wait, schema::AckLevel and schema::Call.
enum class WaitStrategy : std::uint8_t { kAdaptive, kSpin, kSleep };
enum class AckLevel : std::uint8_t { kApplied, kDurable };
enum class EventCall : std::uint8_t { kTrack, kPage, kScreen, kGroup, kIdentify };

struct ApplianceConfig {
  std::string name;
  std::string directory = "/dev/shm";
  std::uint64_t profiles = 1'000'000;
  std::uint32_t shards = 64;
  std::uint32_t key_bytes = 64;  ///< a multiple of 8
  HugePages huge_pages = HugePages::kTry;
  std::string readers_group;  ///< empty: the service's own
  std::string ingest_user;    ///< empty: the service's own
};

struct CpuConfig {
  std::vector<int> ingest;   ///< one thread each; -1: not pinned
  std::vector<int> workers;  ///< one process each; -1: not pinned
  WaitStrategy wait = WaitStrategy::kAdaptive;
};

struct ListenConfig {
  std::vector<ListenAddress> http;  ///< none or one
  std::vector<ListenAddress> stream;
  std::vector<ListenAddress> console;   ///< none or one
  std::vector<std::string> write_keys;  ///< looked up; none: open
  std::vector<std::string> read_keys;
  std::uint64_t rate_per_address = 0;         ///< events a second; 0: no limit
  std::uint64_t rate_per_key = 0;             ///< likewise
  std::uint32_t connections_per_address = 0;  ///< 0: half of all
  std::vector<std::string> trusted_proxies;   ///< "10.0.0.0/8"
};

struct DurabilityConfig {
  std::string directory;  ///< default /var/lib/deja/<name>
  AckLevel ack = AckLevel::kDurable;
  std::int64_t group_commit_us = 1'000;
  std::uint32_t dedup_window = 100'000;
  std::int64_t max_future_us = 300'000'000;
};

struct RedisConfig {
  std::string url = "local";  ///< local, redis://… or unix://…
  std::int64_t flush_every_us = 200'000;
  std::int64_t loss_window_us = 60'000'000;
};

struct FieldConfig {
  std::string name;
  std::string path;  ///< "properties.products[].price"
};

struct EventConfig {
  std::string name;
  EventCall call = EventCall::kTrack;
  std::string match;  ///< "*": any
  std::vector<FieldConfig> fields;
};

struct FeatureSource {
  std::uint16_t event = 0;  ///< index in Config::events
  double weight = 1;
};

struct FeatureConfig {
  std::string name;
  FeatureSpec spec;  ///< offset and bytes included
  std::vector<FeatureSource> sources;
  std::string of;
  std::string where;
};

/// A path of a message that ingest extracts.
struct SlotConfig {
  std::string path;
  std::uint16_t root = 0;  ///< 0: one value; else the number of its array
};

struct SentValue {
  std::uint16_t slot = 0;
  std::uint16_t element = 0;
  ValueKind kind = ValueKind::kNull;
  double number = 0;
  std::string text;
};

struct SentEvent {
  std::uint64_t kinds = 0;
  std::int64_t at_us = 0;
  std::uint32_t count = 1;
  std::string user;
  std::vector<SentValue> values;
};

struct ExpectedValue {
  std::size_t feature = 0;  ///< index in Config::features
  TomlValue value;          ///< an empty table stands for null
};

struct TestConfig {
  std::string name;
  TomlPlace place;
  std::string user;
  std::int64_t at_us = 0;  ///< the instant at which the values are read
  std::vector<SentEvent> send;
  std::vector<ExpectedValue> expect;
};

struct Config {
  std::string file;
  ApplianceConfig appliance;
  CpuConfig cpu;
  ListenConfig listen;
  DurabilityConfig durability;
  RedisConfig redis;
  std::vector<EventConfig>
      events;  ///< as declared, and "$identify" at the end where a trait needs it
  std::vector<SlotConfig> slots;
  std::vector<FeatureConfig> features;
  std::uint32_t frame_bytes = 0;
  std::vector<TestConfig> tests;
  std::vector<ConfigError> warnings;
};

}  // namespace deja
