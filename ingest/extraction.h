// What a codec (JSON over HTTP, Cap'n Proto over the stream) took out of one message: everything
// that decides whether, where and as what it is stored. Made once per ingest thread, filled again
// for each message; no allocation. All texts are views of the codec's memory and valid until its
// next message.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "shm/value.h"

namespace deja {

/// Longest event accepted, bytes of JSON (Segment's limit); a Cap'n Proto event likewise.
inline constexpr std::uint32_t kEventBytesMax = 32 * 1024;
/// Longest batch accepted, bytes after inflating (Segment's limit).
inline constexpr std::uint32_t kBatchBytesMax = 500 * 1024;
/// Values of declared slots that one event may have.
inline constexpr std::uint32_t kCapturedMax = 2048;
/// Elements that one array of an event may have; the feature engine's limit too.
inline constexpr std::uint32_t kArrayElementsMax = 1024;
/// Deepest nesting of objects and arrays in an event.
inline constexpr std::uint32_t kDepthMax = 32;

enum class CallType : std::uint8_t { kNone, kTrack, kPage, kScreen, kGroup, kIdentify, kAlias };

struct CapturedValue {
  std::uint16_t slot = 0;
  std::uint16_t element = 0;
  Value value;
};

/// Why an event was not accepted: `code` is a stable word ("bad_timestamp"), `message` a sentence,
/// both literals; `path` says where, relative to the event ("properties.products[3].price").
struct Refusal {
  const char* code = nullptr;  ///< nullptr: accepted
  const char* message = nullptr;
  char path[120] = {};
};

struct Extraction {
  CallType call = CallType::kNone;
  std::string_view name;  ///< track: event; page, screen: name; group: groupId
  std::string_view user_id;
  std::string_view anonymous_id;
  std::string_view message_id;
  bool has_timestamp = false;
  bool has_sent_at = false;
  std::int64_t timestamp_us = 0;  ///< as the client said it
  std::int64_t sent_at_us = 0;    ///< the client's clock when it sent
  std::uint32_t captured_count = 0;
  std::array<CapturedValue, kCapturedMax> captured;

  void clear() {
    call = CallType::kNone;
    name = user_id = anonymous_id = message_id = {};
    has_timestamp = has_sent_at = false;
    captured_count = 0;
  }
  /// False when there is no room: the event is refused as "too_many_values".
  [[nodiscard]] bool capture(std::uint16_t slot, std::uint16_t element, const Value& value) {
    if (captured_count == kCapturedMax) return false;
    captured[captured_count++] = {slot, element, value};
    return true;
  }
};

}  // namespace deja
