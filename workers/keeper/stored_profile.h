// What the keeper keeps in Redis and under which names. Pure; any thread.
//
//   deja:appliance            text    whose database this is
//   deja:shards               number  of shards that the profiles are filed under
//   deja:resharding           list    watermarks of former counts, while the change is not
//   confirmed deja:epoch                number  of the last life of a keeper that wrote here
//   deja:catalog:<hash>       bytes   a catalog that images were written under
//   deja:{<shard>}:watermark  hash    epoch, sequence: up to where Redis has the shard
//   deja:{<shard>}:user:<id>  hash    a profile; deja:{<shard>}:anon:<id> an anonymous one
//
// A profile's fields: image (workers/keeper/image.h), epoch, sequence, catalog, updated, as_of, and
// one for each feature, finished at as_of.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "shm/key.h"

namespace deja {

inline constexpr std::string_view kApplianceKey = "deja:appliance";
inline constexpr std::string_view kShardsKey = "deja:shards";
inline constexpr std::string_view kReshardingKey = "deja:resharding";
inline constexpr std::string_view kEpochKey = "deja:epoch";
inline constexpr std::string_view kProfilePattern = "deja:{*}:*";

inline constexpr std::array<std::string_view, 6> kOwnFields = {"image",   "epoch",   "sequence",
                                                               "catalog", "updated", "as_of"};

/// A hash as 16 hexadecimal digits.
[[nodiscard]] inline std::string hash_text(std::uint64_t hash) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

[[nodiscard]] inline std::string catalog_key(std::uint64_t hash) {
  return "deja:catalog:" + hash_text(hash);
}
[[nodiscard]] inline std::string watermark_key(std::uint32_t shard) {
  return "deja:{" + std::to_string(shard) + "}:watermark";
}
/// Replaces `name` by the profile's.
inline void write_profile_key(std::uint32_t shard, const Key& key, std::string& name) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, shard).ptr;
  name.assign("deja:{").append(digits, end).append("}:");
  name.append(key.name_space == KeyNamespace::kUser ? "user:" : "anon:");
  name.append(key.bytes, key.size);
}
[[nodiscard]] inline std::string profile_key(std::uint32_t shard, const Key& key) {
  std::string name;
  write_profile_key(shard, key, name);
  return name;
}

struct ProfileName {
  std::uint32_t shard = 0;
  Key key;  ///< its bytes are those of the name
};

/// Nothing where the name is not one of profile_key()'s.
[[nodiscard]] inline std::optional<ProfileName> parse_profile_key(std::string_view name) {
  constexpr std::string_view kBegin = "deja:{";
  if (!name.starts_with(kBegin)) return std::nullopt;
  name.remove_prefix(kBegin.size());
  ProfileName parsed;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), parsed.shard);
  if (problem != std::errc{}) return std::nullopt;
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  if (name.starts_with("}:user:")) {
    parsed.key.name_space = KeyNamespace::kUser;
  } else if (name.starts_with("}:anon:")) {
    parsed.key.name_space = KeyNamespace::kAnonymous;
  } else {
    return std::nullopt;
  }
  name.remove_prefix(7);
  if (name.empty() || name.size() > kKeyBytesMax) return std::nullopt;
  parsed.key.bytes = name.data();
  parsed.key.size = static_cast<std::uint32_t>(name.size());
  return parsed;
}

}  // namespace deja
