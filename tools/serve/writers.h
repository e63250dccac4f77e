// The writing side of one segment, keeper and workers, as the supervisor starts and stops it: for
// the segment that serves, and for one of another config that is drained first. One thread.
#pragma once

#include "shm/segment.h"
#include "tools/serve/backlog.h"
#include "tools/serve/crew.h"

namespace deja {

class Writers {
 public:
  /// `crew` and `segment` outlive it.
  [[nodiscard]] static Result<Writers> open(Crew& crew, const Segment& segment);

  /// Adopts or starts keeper and workers.
  Status start();
  /// All of them are past everything that can fail at a start, and understand SIGTERM.
  [[nodiscard]] bool run() const;
  [[nodiscard]] const Backlog& backlog() const { return backlog_; }

  /// Once nobody fills the rings any more: waits until they are empty, stops the workers, then the
  /// keeper, which drains its logs and flushes. False: not everything is durable.
  [[nodiscard]] bool stop();

 private:
  Writers(Crew& crew, const Segment& segment, Backlog backlog)
      : crew_(&crew), segment_(&segment), backlog_(std::move(backlog)) {}
  Crew* crew_;
  const Segment* segment_;
  Backlog backlog_;
};

/// Whether the process that the crew has under `name` shows its own pid in its process file.
[[nodiscard]] bool shows_itself(const Crew& crew, const Segment& segment, const std::string& name);

}  // namespace deja
