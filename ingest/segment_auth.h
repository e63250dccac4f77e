// Write keys: by Basic authorization (the key is the user name) or in the body. Immutable; any
// thread; checking allocates nothing and takes as long for a wrong key as for the right one,
// whichever of several it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace deja {

class SegmentAuth {
 public:
  /// No keys: everybody may write.
  explicit SegmentAuth(std::vector<std::string> keys) : keys_(std::move(keys)) {}

  [[nodiscard]] bool open() const { return keys_.empty(); }
  [[nodiscard]] bool knows(std::string_view key) const { return open() || number_of(key) >= 0; }
  /// Which key it is, from 0 on; -1: none.
  [[nodiscard]] std::int32_t number_of(std::string_view key) const;
  [[nodiscard]] std::size_t count() const { return keys_.size(); }

  enum class Header { kAbsent, kRight, kWrong };
  struct Checked {
    Header header = Header::kAbsent;
    std::int32_t key = -1;  ///< its number; -1 also where none is needed
  };
  /// What an Authorization header says; one of another scheme than Basic counts as absent.
  [[nodiscard]] Checked check_header(std::string_view authorization) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace deja
