// Where ingest/event.capnp puts what is in an event; `capnp compile -ocapnp` prints it. Constants.
#pragma once

#include <cstdint>

namespace deja::stream_event {

enum Pointer : std::uint32_t {
  kName,
  kUserId,
  kAnonymousId,
  kMessageId,
  kProperties,
  kTraits,
  kContext
};
inline constexpr std::uint32_t kCallByte = 0;
inline constexpr std::uint32_t kTimestampByte = 8;
inline constexpr std::uint32_t kMemberTagByte = 0;
inline constexpr std::uint32_t kMemberBooleanBit = 16;
inline constexpr std::uint32_t kMemberNumberByte = 8;
inline constexpr std::uint32_t kMemberName = 0;
inline constexpr std::uint32_t kMemberContent = 1;
enum MemberTag : std::uint16_t { kNull, kBoolean, kNumber, kText, kList, kObject };

}  // namespace deja::stream_event
