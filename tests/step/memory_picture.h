// Pictures of a segment's shared memory: taken after an instruction, put back after a recovery was
// tried on it. Test code; header only; one thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/segment_fixture.h"

namespace deja {

class SharedMemory {
 public:
  using Picture = std::vector<std::uint8_t>;

  /// `watched` are the files that the stepped process writes; `others` are kept and put back only.
  /// The file of its counters is in neither: whoever attaches sets them anew. `page`: memory of the
  /// test's own that is watched, too.
  SharedMemory(SegmentFixture& fixture, const std::vector<std::string>& watched,
               const std::vector<std::string>& others, std::span<std::uint8_t> page = {}) {
    if (!page.empty()) parts_.push_back({page.data(), page.size()});
    bytes_ += page.size();
    for (const std::string& name : watched) add(fixture.file(name));
    watched_count_ = parts_.size();
    for (const std::string& name : others) add(fixture.file(name));
  }

  /// The same of memory that the caller has mapped.
  SharedMemory(const std::vector<std::span<std::uint8_t>>& watched,
               const std::vector<std::span<std::uint8_t>>& others)
      : watched_count_(watched.size()) {
    for (const auto* spans : {&watched, &others}) {
      for (const std::span<std::uint8_t> span : *spans) {
        parts_.push_back({span.data(), span.size()});
        bytes_ += span.size();
      }
    }
  }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// Whether the stepped process has changed something since the picture.
  [[nodiscard]] bool differs(const Picture& picture) const {
    std::size_t offset = 0;
    for (std::size_t at = 0; at < watched_count_; ++at) {
      if (std::memcmp(parts_[at].memory, picture.data() + offset, parts_[at].bytes) != 0) {
        return true;
      }
      offset += parts_[at].bytes;
    }
    return false;
  }
  void take(Picture& picture) const {
    picture.resize(bytes_);
    std::size_t offset = 0;
    for (const Part& part : parts_) {
      std::memcpy(picture.data() + offset, part.memory, part.bytes);
      offset += part.bytes;
    }
  }
  void put_back(const Picture& picture) const {
    std::size_t offset = 0;
    for (const Part& part : parts_) {
      std::memcpy(part.memory, picture.data() + offset, part.bytes);
      offset += part.bytes;
    }
  }
  [[nodiscard]] static std::size_t hash(const Picture& picture) {
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(picture.data()), picture.size()});
  }

 private:
  struct Part {
    std::uint8_t* memory;
    std::size_t bytes;
  };
  void add(MappedFile& file) {
    parts_.push_back({file.data(), static_cast<std::size_t>(file.bytes())});
    bytes_ += parts_.back().bytes;
  }

  std::vector<Part> parts_;
  std::size_t watched_count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace deja
