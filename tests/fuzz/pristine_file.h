// A file that an input may edit or cut short, and that is as it was afterwards. Test code; one
// thread.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "shm/base/check.h"
#include "shm/mapped_file.h"

namespace deja::fuzz {

/// A file of the segment and what is in it when nobody has touched it.
class PristineFile {
 public:
  PristineFile(std::string path, MappedFile file)
      : path_(std::move(path)),
        file_(std::move(file)),
        pristine_(file_.data(), file_.data() + file_.bytes()) {}

  void edit(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    offset %= pristine_.size();
    const std::size_t size = std::min<std::size_t>(bytes.size(), pristine_.size() - offset);
    if (cut_ || size == 0) return;
    std::memcpy(file_.data() + offset, bytes.data(), size);
    begin_ = std::min(begin_, offset);
    end_ = std::max(end_, offset + size);
  }
  void cut_short(std::uint64_t bytes) {
    CHECK(truncate(path_.c_str(), static_cast<off_t>(bytes % pristine_.size())) == 0);
    cut_ = true;
  }
  void restore() {
    if (cut_) {
      CHECK(truncate(path_.c_str(), static_cast<off_t>(pristine_.size())) == 0);
      begin_ = 0;
      end_ = pristine_.size();
      cut_ = false;
    }
    if (begin_ < end_) std::memcpy(file_.data() + begin_, pristine_.data() + begin_, end_ - begin_);
    begin_ = pristine_.size();
    end_ = 0;
  }

 private:
  std::string path_;
  MappedFile file_;
  std::vector<std::uint8_t> pristine_;
  std::uint64_t begin_ = ~std::uint64_t{0};  // of what was edited
  std::uint64_t end_ = 0;
  bool cut_ = false;
};

}  // namespace deja::fuzz
