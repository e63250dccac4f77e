// The bytes of a file, inflated on the way by its extension (.gz .xz .zst, else as they are), in
// pieces: a file of any size is read in constant memory. One thread; the home of zlib, liblzma and
// libzstd in the tools.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "shm/base/result.h"

namespace deja {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  [[nodiscard]] static Result<std::unique_ptr<ByteSource>> open(const std::string& path);

  /// The next bytes, valid until the next call; empty at the end. A file that ends too early or
  /// holds something else than its extension says is an error.
  [[nodiscard]] virtual Result<std::span<const char>> next() = 0;
};

/// `path` without what open() would inflate by: "a.csv.xz" → "a.csv".
[[nodiscard]] std::string without_compression(const std::string& path);

}  // namespace deja
