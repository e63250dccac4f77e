// A catalog's features, compiled: what an event does to a frame, and what two frames of the same
// user become together. Compiled once at start (allocates); then immutable, so that any thread may
// use it, each on its own frames: plain private bytes, 8-aligned, frame_bytes() long.
//
// 1. A frame of zero bytes is a new profile.
// 2. apply() is a pure function of (frame, event): no clock, no random. So is merge().
// 3. The same set of events gives the same finished values in any order, and merging the frames of
//    two parts gives those of the whole (bounds: README.md).
// 4. Any bytes in a frame are safe: a broken frame gives broken values and nothing worse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "shm/catalog.capnp.h"
#include "shm/feature_spec.h"
#include "workers/event.h"
#include "workers/expression/expression.h"
#include "workers/features/feature_step.h"
#include "workers/features/pane_clock.h"

namespace deja {

class FeatureSet {
 public:
  /// Checks the whole catalog (places, limits, indexes, expressions) and says what is wrong with
  /// it. It can be read (shm/catalog_check.h): a segment's can. The set does not refer to it
  /// afterwards.
  [[nodiscard]] static Result<FeatureSet> compile(schema::Catalog::Reader catalog);

  /// In the catalog's order, as are names().
  [[nodiscard]] const std::vector<FeatureSpec>& specs() const { return specs_; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] std::uint32_t frame_bytes() const { return frame_bytes_; }
  /// What an Event for this catalog is made with (workers/event.h).
  [[nodiscard]] const std::vector<std::uint16_t>& root_of_slot() const { return root_of_slot_; }

  /// Applies the event to every feature that one of its kinds feeds, once for each such kind; to a
  /// session once in all.
  /// Returns how often it was late for one (of an array of values, it is late if any is). The
  /// event's values must have been made with root_of_slot(). No allocation.
  [[nodiscard]] unsigned apply(const Event& event, std::uint8_t* frame) const;

  /// `into` becomes what it would be had it seen `from`'s events as well. They are two frames, not
  /// one. No allocation.
  void merge(std::uint8_t* into, const std::uint8_t* from) const;

 private:
  /// What one kind of event means to one feature.
  struct Feed {
    std::uint32_t feature = 0;
    double weight = 1;
    std::optional<Expression> of;
    std::optional<Expression> where;
  };

  struct Instant;

  FeatureSet() = default;
  void add_step(std::uint16_t kind, std::uint64_t kinds_before, Feed feed);
  [[nodiscard]] static Result<Feed> compile_feed(schema::Catalog::Reader catalog,
                                                 std::uint32_t feature, std::uint32_t source);
  [[nodiscard]] std::uint32_t clock_of(const FeatureSpec& spec);
  [[nodiscard]] bool late_for(const Feed& feed, const Event& event, std::uint8_t* column) const;
  void take_step(const features::Step& step, const Event& event, const Instant& at,
                 std::uint8_t* column, unsigned& late) const;

  std::vector<FeatureSpec> specs_;
  std::vector<std::string> names_;
  std::vector<std::uint16_t> root_of_slot_;
  std::vector<std::vector<features::Step>> steps_of_kind_;
  std::vector<features::PaneClock> clocks_;  ///< each once
  std::vector<Feed> feeds_;                  ///< of the steps that run expressions
  std::uint32_t frame_bytes_ = 0;
};

/// What a reader must know of a feature, from its entry in the catalog. Unchecked: see
/// column_fits() (shm/columns/column_size.h).
[[nodiscard]] FeatureSpec feature_spec(schema::Feature::Reader feature);

}  // namespace deja
