#include "tools/serve/watchdog.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "tools/serve/notify.h"

namespace deja {
namespace {

/// 0 where it is no number above 0 that fits.
std::int64_t number_of(const char* text) {
  if (text == nullptr) return 0;
  const std::string_view digits(text);
  std::int64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stopped, fault] = std::from_chars(digits.data(), end, number);
  return fault == std::errc{} && stopped == end && number > 0 ? number : 0;
}

}  // namespace

std::int64_t Watchdog::interval_ns_of(const char* usec, const char* pid) {
  constexpr std::int64_t kLongestUs = std::int64_t{365} * 24 * 3'600 * 1'000'000;
  const std::int64_t allowed_us = number_of(usec);
  if (allowed_us == 0 || allowed_us > kLongestUs) return 0;
  if (pid != nullptr && number_of(pid) != getpid()) return 0;
  return allowed_us * 1'000 / 2;
}

Watchdog::Watchdog()
    : Watchdog(interval_ns_of(std::getenv("WATCHDOG_USEC"), std::getenv("WATCHDOG_PID"))) {}

void Watchdog::pass(std::int64_t now_ns, bool alive) {
  if (interval_ns_ == 0 || !alive || now_ns < due_ns_) return;
  notify_service_manager("WATCHDOG=1");
  due_ns_ = now_ns + interval_ns_;
}

}  // namespace deja
