// A place that holds one value of the host: a file of /proc or /sys, a file of /etc, a directory of
// resctrl. How its value is read, compared and written, by what kind of place it is. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "shm/base/result.h"
#include "tuning/tree.h"

namespace deja::tuning {

enum class PlaceKind {
  kPlain,      ///< the file is the value: "120"
  kChoice,     ///< the file lists what there is, the value in brackets: "always [madvise] never"
  kCpuList,    ///< "0-3,8"
  kCpuMask,    ///< "ff,00000000"
  kCacheWays,  ///< the line "L3:0=ff;1=ff" of a resctrl schemata
  kFile,       ///< a whole file of /etc, made where there is none
  kDirectory,  ///< is there, or is not
};

struct Place {
  // No aggregate: g++ 12 takes the path of one in a list of others for uninitialised.
  Place() = default;
  Place(PlaceKind kind_of_it, std::string path_to_it)
      : kind(kind_of_it), path(std::move(path_to_it)) {}

  PlaceKind kind = PlaceKind::kPlain;
  std::string path;
  bool operator==(const Place&) const = default;
};

/// nullopt: there is nothing at that place. A directory that is there is "".
using PlaceValue = std::optional<std::string>;

/// What is there now. ENOENT is an answer for files of /etc and directories, and an error for a
/// file that the kernel makes; EILSEQ: what is there is not of the place's kind.
[[nodiscard]] Result<PlaceValue> read_place(const Tree& tree, const Place& place);
/// Makes it so. It is not read back: a kernel may take a value and keep another.
[[nodiscard]] Status write_place(const Tree& tree, const Place& place, const PlaceValue& value);
/// Whether two values are the same for that kind of place: "0-1" and "0,1" are.
[[nodiscard]] bool same_value(PlaceKind kind, const PlaceValue& a, const PlaceValue& b);

/// "plain", "choice", …: its name in a file of saved values, and back.
[[nodiscard]] const char* place_kind_name(PlaceKind kind);
[[nodiscard]] std::optional<PlaceKind> place_kind_of(std::string_view name);

}  // namespace deja::tuning
