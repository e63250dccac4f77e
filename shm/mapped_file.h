// One file of the segment, mapped (Boost.Interprocess file_mapping and mapped_region; its home).
// Created whole: allocated, prefaulted and zero, so that a shortage is a sentence at start and
// never a SIGBUS later. Nothing is ever truncated. Start-up code; one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "shm/base/result.h"

namespace deja {

/// Who may map a file besides the service itself.
enum class Audience { kService, kReaders };

/// What [appliance] huge_pages asks for.
enum class HugePages : std::uint8_t { kTry, kRequire, kOff };

/// What the memory of a mapping really got: asked for is not given (see /proc/self/smaps).
struct Placement {
  std::uint64_t bytes = 0;
  std::uint64_t huge_bytes = 0;    ///< in huge pages
  std::uint64_t locked_bytes = 0;  ///< can't be swapped out
};

class MappedFile {
 public:
  struct Create {
    std::string path;
    std::uint64_t bytes = 0;
    Audience audience = Audience::kService;
    gid_t readers_group = static_cast<gid_t>(-1);  ///< -1: the service's own
    HugePages huge_pages = HugePages::kOff;
    std::function<void()> between = [] {};  ///< called every kAllocatedAtOnce bytes
  };
  static constexpr std::uint64_t kAllocatedAtOnce = std::uint64_t{256} << 20U;
  /// A new file of zeros, mapped for writing. An existing one of that name is an error.
  [[nodiscard]] static Result<MappedFile> create(const Create& options);

  enum class Mode { kReadOnly, kReadWrite };
  /// An existing file, mapped whole. `bytes_min`: a shorter file is refused.
  [[nodiscard]] static Result<MappedFile> open(const std::string& path, Mode mode,
                                               std::uint64_t bytes_min = 0);

  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  ~MappedFile();

  [[nodiscard]] std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// The memory at `offset` as a T; the caller knows the layout.
  template <typename T>
  [[nodiscard]] T* at(std::uint64_t offset = 0) const {
    return reinterpret_cast<T*>(data_ + offset);
  }
  /// Keeps the pages in memory while this mapping lives, where RLIMIT_MEMLOCK allows it: 0 or
  /// errno.
  [[nodiscard]] int lock_memory() const;
  /// Asks the kernel (smaps); slow.
  [[nodiscard]] Placement placement() const;

 private:
  MappedFile();
  struct Mapping;
  std::unique_ptr<Mapping> mapping_;
  std::uint8_t* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace deja
