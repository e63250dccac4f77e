// The pane of an instant, and an instant in half-lives, without a division: what
// columns::pane_place and columns::half_lives_at work out from a spec, from numbers made ready
// once. Immutable; any thread.
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/columns/pane_ring.h"
#include "shm/columns/top_column.h"
#include "workers/features/exact_divisor.h"

namespace deja::features {

/// All it computes with is not negative: instants are moved up by whole rings of panes, at least
/// kInstantLimit, so that neither slots nor what is left of a pane change.
class PaneClock {
 public:
  /// A ring of `panes` panes, each that long; or half-lives, and one pane.
  PaneClock(std::int64_t pane_us, std::uint32_t panes)
      : pane_us_(static_cast<std::uint64_t>(pane_us)), panes_(panes) {
    const std::uint64_t ring_us = pane_us_.divisor() * panes;
    const std::uint64_t rings = (std::uint64_t{columns::kInstantLimit} + ring_us - 1) / ring_us;
    moved_us_ = rings * ring_us;
    moved_panes_ = rings * panes;
  }

  /// As columns::pane_place. `time_us` within ±kInstantLimit, as of columns::clamp_instant.
  [[nodiscard]] columns::PanePlace place(std::int64_t time_us) const {
    const std::uint64_t pane = pane_us_.quotient(static_cast<std::uint64_t>(time_us) + moved_us_);
    const std::uint64_t slot = pane - panes_.quotient(pane) * panes_.divisor();
    return {static_cast<std::int64_t>(pane - moved_panes_), static_cast<std::uint32_t>(slot)};
  }

  /// As columns::half_lives_at, likewise.
  [[nodiscard]] columns::HalfLives half_lives(std::int64_t time_us) const {
    const std::uint64_t time = static_cast<std::uint64_t>(time_us) + moved_us_;
    const std::uint64_t whole = pane_us_.quotient(time);
    return {static_cast<std::int64_t>(whole - moved_panes_),
            static_cast<std::int64_t>(time - whole * pane_us_.divisor())};
  }
  [[nodiscard]] bool operator==(const PaneClock&) const = default;

 private:
  ExactDivisor pane_us_;
  ExactDivisor panes_;
  std::uint64_t moved_us_;
  std::uint64_t moved_panes_;
};

}  // namespace deja::features
