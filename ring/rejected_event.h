// An event that ingest could not understand, on its way to the file of dead letters: ring-<i>-<w>,
// beside the event records. It is no event any more: ingest has counted it as rejected and answered
// for it. A worker copies it into its log unread (LogKind::kDead, RefusalReason::kRejected) and the
// keeper into the file. Whoever reads one reads anybody's bytes (rejected_event_of()).
//
//   ring record type kRejectedEvent: RejectedEventLayout (168 B) │ text_bytes bytes
//
// Little endian, as the host. Part of the ring's and the log's layout, so of kLayoutVersion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace deja {

/// Types of records in ring-<i>-<w>.
inline constexpr std::uint32_t kEventRecord = 1;    ///< event_record.capnp
inline constexpr std::uint32_t kRejectedEvent = 2;  ///< and not one of those that are counted

/// Of a rejected event's text no more is kept.
inline constexpr std::uint32_t kRejectedTextMax = 4096;

enum class RejectedForm : std::uint8_t {
  kBody = 1,     ///< a whole request's body, or its beginning
  kElement = 2,  ///< one element of a batch
  kStream = 3,   ///< likewise, put into JSON from what came over the stream
};

/// RejectedEventLayout::flags: more was there, or what was there can't be put into a text.
inline constexpr std::uint32_t kRejectedCut = 1;

struct RejectedEventLayout {
  std::int64_t received_us;
  std::uint32_t text_bytes;  // behind this
  std::uint32_t flags;
  RejectedForm form;
  std::uint8_t call;  // of the route: 0 a batch, else as event.capnp's Call
  std::uint8_t reserved[6];
  char code[24];   // with a zero behind it
  char path[120];  // likewise; within the event
};
static_assert(sizeof(RejectedEventLayout) == 168);
static_assert(offsetof(RejectedEventLayout, text_bytes) == 8);
static_assert(offsetof(RejectedEventLayout, flags) == 12);
static_assert(offsetof(RejectedEventLayout, form) == 16);
static_assert(offsetof(RejectedEventLayout, call) == 17);
static_assert(offsetof(RejectedEventLayout, code) == 24);
static_assert(offsetof(RejectedEventLayout, path) == 48);

struct RejectedEvent {
  std::int64_t received_us = 0;
  RejectedForm form = RejectedForm::kBody;
  std::uint8_t call = 0;
  bool cut = false;
  std::string_view code;  ///< these three are views of the bytes
  std::string_view path;
  std::string_view text;
};

/// Nothing: these bytes are no such record.
[[nodiscard]] inline std::optional<RejectedEvent> rejected_event_of(
    std::span<const std::uint8_t> bytes) {
  RejectedEventLayout head;
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  const auto* start = reinterpret_cast<const char*>(bytes.data());
  const auto until_zero = [&](std::size_t offset, std::size_t size) {
    const std::string_view all(start + offset, size);
    return all.substr(0, all.find('\0'));
  };
  RejectedEvent event;
  event.received_us = head.received_us;
  event.form = head.form;
  event.call = head.call;
  event.cut = (head.flags & kRejectedCut) != 0;
  event.code = until_zero(offsetof(RejectedEventLayout, code), sizeof head.code);
  event.path = until_zero(offsetof(RejectedEventLayout, path), sizeof head.path);
  event.text = {start + sizeof head, bytes.size() - sizeof head};
  const bool known = head.form >= RejectedForm::kBody && head.form <= RejectedForm::kStream;
  if (!known || head.call > 6 || head.text_bytes != event.text.size() || event.code.empty()) {
    return std::nullopt;
  }
  return event;
}

}  // namespace deja
