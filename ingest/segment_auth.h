// Write keys: by Basic authorization (the key is the user name) or in the body. Immutable; any
// thread; checking allocates nothing and takes as long for a wrong key as for the right one.
#pragma once

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
  [[nodiscard]] bool knows(std::string_view key) const;

  enum class Header { kAbsent, kRight, kWrong };
  /// What an Authorization header says; one of another scheme than Basic counts as absent.
  [[nodiscard]] Header check_header(std::string_view authorization) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace deja
