#include "workers/keeper/stored_images.h"

#include "workers/keeper/image.h"

namespace deja {

StoredImages::Outcome StoredImages::read(const ProfileName& stored, const RedisReply& reply,
                                         Profile& profile) {
  const auto refused = [this](const char* reason) {
    refuse(reason);
    return Outcome::kRefused;
  };
  if (reply.kind() != RedisReply::Kind::kText) return refused("no_image");
  Image image;
  if (const ImageFault fault = decode_image(reply.text(), stored.key, image);
      fault != ImageFault::kNone) {
    return refused(name_of(fault));
  }
  if (stored.shard != shard_of(stored.key, geometry_.shard_count)) return refused("wrong_shard");
  if (stored.key.size > geometry_.key_bytes) return refused("long_key");
  profile.frame = image.frame;
  profile.translated = image.header.catalog_hash != catalog_.hash;
  if (profile.translated) {
    const FrameTranslation* way = translation(image.header.catalog_hash);
    if (!problem_.empty()) return Outcome::kLostRedis;
    if (way == nullptr) return refused("unknown_catalog");
    if (way->from_frame_bytes() != image.frame.size()) return refused("truncated");
    way->translate(image.frame, frame_);
    profile.frame = frame_;
  } else if (image.frame.size() != geometry_.frame_bytes) {
    return refused("truncated");
  }
  ReturnProfileLayout& record = profile.record;
  record = {};
  record.sequence = image.header.sequence;
  record.updated_us = image.header.updated_us;
  record.late = image.header.late;
  record.shard = stored.shard;
  record.frame_bytes = static_cast<std::uint32_t>(profile.frame.size());
  record.flags = image.header.flags;
  record.key_size = image.header.key_size;
  record.key_namespace = image.header.key_namespace;
  profile.key = {stored.key.bytes, stored.key.size};
  return Outcome::kGood;
}

const FrameTranslation* StoredImages::translation(std::uint64_t catalog_hash) {
  const auto known = translations_.find(catalog_hash);
  if (known != translations_.end()) return known->second ? &*known->second : nullptr;
  Result<RedisReply> reply = store_.connection().command({"GET", catalog_key(catalog_hash)});
  if (!reply) {
    problem_ = reply.error().message();
    return nullptr;
  }
  std::optional<FrameTranslation>& made = translations_[catalog_hash];
  const Result<StoredCatalog> stored = StoredCatalog::parse(reply->text());
  if (stored && stored->hash == catalog_hash) made.emplace(*stored, catalog_);
  return made ? &*made : nullptr;
}

void StoredImages::refuse(const char* reason) {
  ++refused_count_;
  process_.counter(std::string("deja_profiles_refused_total{reason=\"") + reason + "\"}").add();
  process_.error(std::string("a stored profile was not restored: ") + reason);
}

}  // namespace deja
