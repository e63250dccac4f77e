#include "tools/top/top.h"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "shm/base/clock.h"
#include "tools/cli/give_way.h"
#include "tools/config/duration.h"
#include "tools/top/frame.h"
#include "tools/top/screen.h"

namespace deja {
namespace {

constexpr std::int64_t kIntervalUsMin = 100'000;
constexpr std::int64_t kIntervalUsMax = 3'600'000'000;
/// On what is no terminal nothing has to be left out.
constexpr TerminalSize kAnyRows{80, 100'000};

/// Not at all where that is in the past.
void sleep_us(std::int64_t duration_us) {
  if (duration_us <= 0) return;
  timespec left{duration_us / 1'000'000, duration_us % 1'000'000 * 1000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

std::int64_t now_us() {
  return steady_ns() / 1000;
}

/// Looks, and remembers; false where there is nothing to look at.
bool look(const ApplianceName& which, LookHistory& history) {
  const auto segment = open_segment(which);
  if (!segment.ok()) return false;
  history.add(gather_state(segment.value(), segment_path(which)));
  return true;
}

void print_look(const LookHistory& history) {
  std::printf("%s\n", state_json(history.last()).c_str());
}

void print_frame(const LookHistory& history, std::string_view trouble) {
  TerminalSize size = kAnyRows;
  if (is_terminal(stdout)) {
    size = terminal_size();
    if (size.rows > 1) --size.rows;  // for the prompt
  }
  for (const std::string& line : frame_lines(history, size, style_of(stdout), trouble)) {
    std::printf("%s\n", line.c_str());
  }
}

}  // namespace

int run_top(const TopOptions& options) {
  const auto interval_us = parse_duration(options.interval);
  if (!interval_us || *interval_us < kIntervalUsMin || *interval_us > kIntervalUsMax) {
    std::fprintf(stderr, "deja: --interval %s: give 100ms to 1h, such as 500ms or 2s\n",
                 options.interval.c_str());
    return 2;
  }
  give_way();
  LookHistory history(kLatencyUs);
  if (const auto segment = open_segment(options.appliance); !segment.ok()) {
    std::fprintf(stderr, "deja: %s\n", segment.error().message().c_str());
    return 1;
  }
  const bool live = !options.once && !options.json && is_terminal(stdout);
  const std::unique_ptr<Screen> screen = live ? std::make_unique<Screen>() : nullptr;
  std::int64_t seen_us = now_us();
  std::int64_t due_us = seen_us;
  bool first = true;
  while (true) {
    const bool found = look(options.appliance, history);
    if (found) seen_us = now_us();
    const std::string trouble =
        found ? "" : "No news for " + human_age(now_us() - seen_us) + ": it is not served now";
    if (options.json) {
      if (found) print_look(history);
      if (options.once) return 0;
    } else if (!history.empty() && screen == nullptr && !(options.once && first)) {
      print_frame(history, trouble);
      if (options.once) return 0;
      std::printf("\n");
    }
    if (screen == nullptr && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) return 0;
    first = false;
    // Kept to the beat, and not to the pace of looking; what was missed is not made up for.
    due_us = std::max(due_us + *interval_us, now_us());
    if (screen == nullptr) {
      sleep_us(due_us - now_us());
      continue;
    }
    Screen::Woken woken = Screen::Woken::kResized;
    while (woken == Screen::Woken::kResized) {
      if (!history.empty() &&
          !screen->show(frame_lines(history, terminal_size(), style_of(stdout), trouble))) {
        return 0;
      }
      woken = screen->wait(due_us - now_us());
    }
    if (woken == Screen::Woken::kQuit) return 0;
  }
}

}  // namespace deja
