// The frames of the stream, for both ends; ingest/stream.md is the chapter.
//
//   0        4        8              12             16
//   ┌────────┬────────┬──────────────┬──────────────┬──────────────────────┐
//   │ length │ flags  │ 0: one       │ words of the │ the segment's words, │
//   │        │ 0      │    segment   │ segment      │ root pointer first   │
//   └────────┴────────┴──────────────┴──────────────┴──────────────────────┘
//   u32      u32       └──────────────── length bytes ──────────────────────┘
//
// All little endian. Any thread; no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace deja {

inline constexpr std::uint16_t kStreamVersion = 1;
inline constexpr std::uint32_t kFrameHeaderBytes = 8;
inline constexpr std::uint32_t kFrameBytesMax = 512 * 1024;  ///< behind the header, both ways
inline constexpr std::uint32_t kBatchEventsMax = 1024;
inline constexpr std::uint32_t kCreditEvents = 4096;
inline constexpr std::uint32_t kCreditBytes = 2 * 1024 * 1024;

enum class FrameState : std::uint8_t { kWhole, kPartial, kBad };

struct Frame {
  FrameState state = FrameState::kPartial;
  std::span<const std::uint8_t> message;  ///< segment table included
  std::uint32_t bytes = 0;                ///< of the whole frame, header included
};

/// The frame that `bytes` begins with. kBad as soon as it can be told.
[[nodiscard]] inline Frame first_frame(std::span<const std::uint8_t> bytes) {
  Frame frame;
  if (bytes.size() < kFrameHeaderBytes) return frame;
  std::uint32_t header[2];
  std::memcpy(header, bytes.data(), sizeof header);
  const std::uint32_t length = header[0];
  if (length < 16 || length % 8 != 0 || length > kFrameBytesMax || header[1] != 0) {
    frame.state = FrameState::kBad;
    return frame;
  }
  if (bytes.size() < kFrameHeaderBytes + 8) return frame;
  std::uint32_t table[2];
  std::memcpy(table, bytes.data() + kFrameHeaderBytes, sizeof table);
  if (table[0] != 0 || table[1] != length / 8 - 1) {
    frame.state = FrameState::kBad;
    return frame;
  }
  if (bytes.size() - kFrameHeaderBytes < length) return frame;
  frame.state = FrameState::kWhole;
  frame.message = bytes.subspan(kFrameHeaderBytes, length);
  frame.bytes = kFrameHeaderBytes + length;
  return frame;
}

/// Header and segment table of a frame whose segment has `words` words.
[[nodiscard]] inline std::array<std::uint32_t, 4> frame_start(std::size_t words) {
  return {static_cast<std::uint32_t>(8 + words * 8), 0, 0, static_cast<std::uint32_t>(words)};
}

namespace stream_error {
// Codes of Error: the connection is closed behind each.
inline constexpr char kBadFrame[] = "bad_frame";
inline constexpr char kBadMessage[] = "bad_message";
inline constexpr char kUnsupportedVersion[] = "unsupported_version";
inline constexpr char kBadWriteKey[] = "bad_write_key";
inline constexpr char kAckUnavailable[] = "ack_unavailable";
inline constexpr char kHelloExpected[] = "hello_expected";
inline constexpr char kHelloRepeated[] = "hello_repeated";
inline constexpr char kBadSequence[] = "bad_sequence";
inline constexpr char kBatchTooLarge[] = "batch_too_large";
inline constexpr char kOverCredit[] = "over_credit";
inline constexpr char kTooSlow[] = "too_slow";
inline constexpr char kTooMany[] = "rate_limited";
inline constexpr char kNoMemory[] = "no_memory";
}  // namespace stream_error

}  // namespace deja
