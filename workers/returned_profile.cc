#include "workers/returned_profile.h"

#include <cstring>

namespace deja {

bool parse_returned(const std::uint8_t* bytes, std::uint32_t size, WithFrame frame,
                    const TableGeometry& geometry, ReturnedProfile& into) {
  ReturnProfileLayout& facts = into.facts;
  if (size < sizeof facts) return false;
  std::memcpy(&facts, bytes, sizeof facts);
  const bool has_frame =
      frame == WithFrame::kAlways || (frame == WithFrame::kEither && facts.frame_bytes != 0);
  const std::uint32_t frame_bytes = has_frame ? geometry.frame_bytes : 0;
  const std::uint64_t key_space = round_up(facts.key_size, 8);
  if (facts.key_size == 0 || facts.key_size > geometry.key_bytes ||
      facts.key_namespace > static_cast<std::uint8_t>(KeyNamespace::kAnonymous) ||
      facts.frame_bytes != frame_bytes || facts.sequence > kSequenceMax ||
      size != sizeof facts + key_space + frame_bytes) {
    return false;
  }
  std::memcpy(into.key_bytes.data(), bytes + sizeof facts, facts.key_size);
  into.frame = frame_bytes == 0 ? nullptr : bytes + sizeof facts + key_space;
  return shard_of(into.key(), geometry.shard_count) == facts.shard;
}

}  // namespace deja
