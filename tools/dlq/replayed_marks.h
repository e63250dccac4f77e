// Which dead letters were replayed: <durability>/dead_letters.replayed, written by `deja dlq
// replay` alone, beside the keeper's file, since nobody writes what another one owns.
//
//   MarkLayout (40 B) × n, appended, each synced
//
// A mark that is torn, damaged or of another file of letters is none: its letter may be replayed
// again, which its id makes harmless.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "shm/base/descriptor.h"
#include "shm/base/result.h"

namespace deja {

inline constexpr char kReplayedFile[] = "dead_letters.replayed";

struct ReplayedMarkLayout {
  std::uint64_t magic;
  std::uint64_t file;  ///< the checksum in the header of the letters' file
  std::uint64_t number;
  std::int64_t replayed_us;
  std::uint64_t checksum;
};
static_assert(sizeof(ReplayedMarkLayout) == 40);

class ReplayedMarks {
 public:
  /// Those about the letters of file `file` in this directory.
  [[nodiscard]] static Result<ReplayedMarks> read(const std::string& directory, std::uint64_t file);

  /// When it was.
  [[nodiscard]] std::optional<std::int64_t> find(std::uint64_t number) const {
    const auto mark = marks_.find(number);
    return mark == marks_.end() ? std::nullopt : std::optional(mark->second);
  }

  /// To be called before add(): nobody else marks until this is gone. Reads again.
  [[nodiscard]] Status lock();
  [[nodiscard]] Status add(std::uint64_t number);

 private:
  ReplayedMarks(std::string path, std::uint64_t file) : path_(std::move(path)), file_(file) {}
  [[nodiscard]] Status load(int descriptor);

  std::string path_;
  std::uint64_t file_;
  std::map<std::uint64_t, std::int64_t> marks_;
  Descriptor descriptor_;
};

}  // namespace deja
