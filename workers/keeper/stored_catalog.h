// The catalog as the keeper needs it: where each feature's column lies and what its bytes mean.
// Read from the segment's catalog or from one that Redis kept, which is checked like any stranger's
// bytes. And the way from one to the other: a feature whose definition is the same keeps its bytes,
// a new one begins empty (zero bytes are every column's empty), a dropped one is left behind.
// Immutable once made; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/result.h"
#include "shm/feature_spec.h"

namespace deja {

struct FeatureColumn {
  std::string name;
  std::uint64_t definition = 0;
  FeatureSpec spec;
};

struct StoredCatalog {
  std::uint64_t hash = 0;  ///< content_hash() of the message
  std::uint32_t frame_bytes = 0;
  std::vector<FeatureColumn> features;

  /// `message`: a flat Cap'n Proto message, segment table included.
  [[nodiscard]] static Result<StoredCatalog> parse(std::string_view message);
};

class FrameTranslation {
 public:
  FrameTranslation(const StoredCatalog& from, const StoredCatalog& to);

  /// `from` has from.frame_bytes bytes; `into` becomes to.frame_bytes bytes.
  void translate(std::string_view from, std::string& into) const;
  [[nodiscard]] std::uint32_t from_frame_bytes() const { return from_frame_bytes_; }
  [[nodiscard]] std::size_t carried_count() const { return columns_.size(); }

 private:
  struct Column {
    std::uint32_t from_offset;
    std::uint32_t to_offset;
    std::uint32_t bytes;
  };
  std::uint32_t from_frame_bytes_;
  std::uint32_t to_frame_bytes_;
  std::vector<Column> columns_;
};

}  // namespace deja
