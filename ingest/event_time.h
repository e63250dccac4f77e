// When an event happened, by our clock. Any thread; no allocation.
#pragma once

#include <cstdint>

#include "ingest/extraction.h"

namespace deja {

/// The end of the year 9999, UTC: no client's time may lie behind it, nor before 1970.
inline constexpr std::int64_t kTimeMaxUs = 253'402'300'799'999'999;

struct EventTime {
  std::int64_t time_us = 0;
  bool was_future = false;           ///< it lay too far ahead: time of receipt instead
  const char* bad_member = nullptr;  ///< "timestamp" or "sentAt": it can't be a time
};

/// The client's clock may be wrong, but it is wrong by the same in `timestamp` and `sentAt`: what
/// counts is how long before its sending the event was. Without `sentAt` the timestamp is believed,
/// without a timestamp it is the time of receipt. A time more than `max_future_us` behind the
/// receipt becomes the receipt's.
[[nodiscard]] inline EventTime event_time(const Extraction& event, std::int64_t received_us,
                                          std::int64_t max_future_us) {
  const auto impossible = [](std::int64_t time) { return time < 0 || time > kTimeMaxUs; };
  EventTime result;
  result.time_us = received_us;
  if (event.has_sent_at && impossible(event.sent_at_us)) result.bad_member = "sentAt";
  if (event.has_timestamp && impossible(event.timestamp_us)) result.bad_member = "timestamp";
  if (result.bad_member != nullptr || !event.has_timestamp) return result;
  std::int64_t time = event.timestamp_us;
  // Neither difference nor sum can overflow: all three lie within ±kTimeMaxUs.
  if (event.has_sent_at) time = received_us - (event.sent_at_us - event.timestamp_us);
  if (time < 0) {
    result.bad_member = "sentAt";
  } else if (time > received_us + max_future_us) {
    result.was_future = true;
  } else {
    result.time_us = time;
  }
  return result;
}

}  // namespace deja
