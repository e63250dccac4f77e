#include "workers/keeper/read_back.h"

#include <algorithm>
#include <string_view>

namespace deja {
namespace {

constexpr std::string_view kPageCount = "256";

}  // namespace

ReadBack::Outcome ReadBack::run(const std::vector<std::uint64_t>& watermarks) {
  sequences_ = watermarks;
  std::string cursor = "0";
  do {
    Result<RedisReply> page = parts_.store.connection().command(
        {"SCAN", cursor, "MATCH", kProfilePattern, "COUNT", kPageCount});
    if (!page || page->size() != 2) {
      problem_ =
          page ? "Redis answers a SCAN with: " + std::string(page->text()) : page.error().message();
      return Outcome::kLostRedis;
    }
    cursor = page->element(0).text();
    if (const Outcome outcome = take_page(page->element(1)); outcome != Outcome::kDone) {
      return outcome;
    }
  } while (cursor != "0");
  for (std::uint32_t shard = 0; shard < sequences_.size(); ++shard) {
    if (!parts_.rings.give_shard({sequences_[shard], shard, 0})) return Outcome::kStopped;
  }
  return parts_.rings.give_end() ? Outcome::kDone : Outcome::kStopped;
}

ReadBack::Outcome ReadBack::take_page(const RedisReply& page) {
  RedisConnection& connection = parts_.store.connection();
  std::vector<std::string> names;
  for (std::size_t at = 0; at < page.size(); ++at) {
    const std::string name(page.element(at).text());
    if (name.ends_with("}:watermark")) continue;
    if (!parse_profile_key(name)) {
      refuse("unknown_name");
      continue;
    }
    connection.append({"HGET", name, "image"});
    names.push_back(name);
  }
  std::vector<RedisReply> images;
  const Status done = connection.exchange(
      [&](std::size_t, RedisReply reply) { images.push_back(std::move(reply)); });
  if (!done) {
    problem_ = done.error().message();
    return Outcome::kLostRedis;
  }
  for (std::size_t at = 0; at < names.size(); ++at) {
    if (const Outcome outcome = take(names[at], images[at]); outcome != Outcome::kDone) {
      return outcome;
    }
  }
  return Outcome::kDone;
}

ReadBack::Outcome ReadBack::take(const std::string& name, const RedisReply& reply) {
  const ProfileName stored = *parse_profile_key(name);
  if (reply.kind() != RedisReply::Kind::kText) {
    refuse("no_image");
    return Outcome::kDone;
  }
  Image image;
  if (const ImageFault fault = decode_image(reply.text(), stored.key, image);
      fault != ImageFault::kNone) {
    refuse(name_of(fault));
    return Outcome::kDone;
  }
  if (stored.shard != shard_of(stored.key, parts_.geometry.shard_count)) {
    refuse("wrong_shard");
    return Outcome::kDone;
  }
  if (stored.key.size > parts_.geometry.key_bytes) {
    refuse("long_key");
    return Outcome::kDone;
  }
  std::string_view frame = image.frame;
  const bool translated = image.header.catalog_hash != parts_.catalog.hash;
  if (translated) {
    const FrameTranslation* way = translation(image.header.catalog_hash);
    if (!problem_.empty()) return Outcome::kLostRedis;
    if (way == nullptr || way->from_frame_bytes() != frame.size()) {
      refuse(way == nullptr ? "unknown_catalog" : "truncated");
      return Outcome::kDone;
    }
    way->translate(frame, frame_);
    frame = frame_;
  } else if (frame.size() != parts_.geometry.frame_bytes) {
    refuse("truncated");
    return Outcome::kDone;
  }
  ReturnProfileLayout record{};
  record.sequence = image.header.sequence;
  record.updated_us = image.header.updated_us;
  record.late = image.header.late;
  record.shard = stored.shard;
  record.frame_bytes = static_cast<std::uint32_t>(frame.size());
  record.flags = image.header.flags;
  record.key_size = image.header.key_size;
  record.key_namespace = image.header.key_namespace;
  const std::string_view key(stored.key.bytes, stored.key.size);
  if (!parts_.rings.give_profile(record, key, frame)) return Outcome::kStopped;
  sequences_[stored.shard] = std::max(sequences_[stored.shard], record.sequence);
  ++restored_count_;
  parts_.counters.restored.add();
  if (translated) {
    ++translated_count_;
    parts_.counters.translated.add();
  }
  return Outcome::kDone;
}

const FrameTranslation* ReadBack::translation(std::uint64_t catalog_hash) {
  const auto known = translations_.find(catalog_hash);
  if (known != translations_.end()) return known->second ? &*known->second : nullptr;
  Result<RedisReply> reply = parts_.store.connection().command({"GET", catalog_key(catalog_hash)});
  if (!reply) {
    problem_ = reply.error().message();
    return nullptr;
  }
  std::optional<FrameTranslation>& made = translations_[catalog_hash];
  const Result<StoredCatalog> stored = StoredCatalog::parse(reply->text());
  if (stored && stored->hash == catalog_hash) made.emplace(*stored, parts_.catalog);
  return made ? &*made : nullptr;
}

void ReadBack::refuse(const char* reason) {
  ++refused_count_;
  parts_.process.counter(std::string("deja_profiles_refused_total{reason=\"") + reason + "\"}")
      .add();
  parts_.process.error(std::string("a stored profile was not restored: ") + reason);
}

}  // namespace deja
