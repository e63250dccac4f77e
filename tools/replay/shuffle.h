// Events change places with those that happened near them: each is given a random delay of up to
// `within`, and they leave in the order of time plus delay. Two events further apart than that keep
// their order where the input has it. The same seed gives the same order. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "tools/replay/row_event.h"

namespace deja {

class Shuffle {
 public:
  Shuffle(std::int64_t within_us, std::uint64_t seed) : within_us_(within_us), random_(seed) {}

  void add(ReplayEvent event) {
    const std::int64_t delay_us =
        within_us_ <= 0 ? 0 : std::uniform_int_distribution<std::int64_t>(0, within_us_)(random_);
    newest_us_ = std::max(newest_us_, event.time_us);
    waiting_.push({event.time_us + delay_us, number_++, std::move(event)});
  }
  /// No more will be added.
  void end() { ended_ = true; }

  /// The next one whose turn it is.
  [[nodiscard]] std::optional<ReplayEvent> take() {
    if (waiting_.empty()) return std::nullopt;
    if (!ended_ && within_us_ > 0 && waiting_.top().due_us > newest_us_) return std::nullopt;
    ReplayEvent event = std::move(const_cast<Waiting&>(waiting_.top()).event);
    waiting_.pop();
    return event;
  }

 private:
  struct Waiting {
    std::int64_t due_us;
    std::uint64_t number;
    ReplayEvent event;
    bool operator<(const Waiting& other) const {  // the queue's top is the greatest
      return due_us != other.due_us ? due_us > other.due_us : number > other.number;
    }
  };
  std::int64_t within_us_;
  std::mt19937_64 random_;
  std::priority_queue<Waiting> waiting_;
  std::int64_t newest_us_ = INT64_MIN;
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

}  // namespace deja
