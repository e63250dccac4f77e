#include "tuning/place.h"

#include <array>
#include <cerrno>

#include "tuning/cpu_set.h"

namespace deja::tuning {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{64} << 10U;
constexpr std::array<const char*, 7> kNames = {"plain",      "choice", "cpu-list", "cpu-mask",
                                               "cache-ways", "file",   "directory"};

/// The word in brackets; of a file that is a word and nothing else, that word.
PlaceValue chosen(const std::string& text) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open == std::string::npos ? 0 : open);
  if (open != std::string::npos && close != std::string::npos) {
    return text.substr(open + 1, close - open - 1);
  }
  return text.empty() || text.find_first_of(" []\t\n") != std::string::npos ? PlaceValue()
                                                                            : PlaceValue(text);
}

/// The line of the last level's cache; other lines are about other resources.
PlaceValue cache_line(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    if (line.starts_with("L3:")) return std::string(line);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return std::nullopt;
}

/// "L3:0=00f;1=00f" without the zeroes that the kernel fills up with.
std::string without_padding(const std::string& line) {
  std::string result;
  bool is_leading = false;
  for (std::size_t at = 0; at < line.size(); ++at) {
    const bool is_last = at + 1 == line.size() || line[at + 1] == ';';
    if (is_leading && line[at] == '0' && !is_last) continue;
    is_leading = line[at] == '=';
    result += line[at];
  }
  return result;
}

PlaceValue value_in(PlaceKind kind, const std::string& text) {
  switch (kind) {
    case PlaceKind::kChoice:
      return chosen(text);
    case PlaceKind::kCpuList:
      return CpuSet::of_list(text) ? PlaceValue(text) : std::nullopt;
    case PlaceKind::kCpuMask:
      return CpuSet::of_mask(text) ? PlaceValue(text) : std::nullopt;
    case PlaceKind::kCacheWays:
      return cache_line(text);
    default:
      return text;
  }
}

}  // namespace

Result<PlaceValue> read_place(const Tree& tree, const Place& place) {
  if (place.kind == PlaceKind::kDirectory) {
    return tree.exists(place.path) ? PlaceValue("") : PlaceValue();
  }
  Result<std::string> text = place.kind == PlaceKind::kFile
                                 ? tree.read_text(place.path, kFileBytesMax)
                                 : tree.read_value(place.path);
  if (!text) {
    if (place.kind == PlaceKind::kFile && text.error().error_number == ENOENT) return PlaceValue();
    return text.error();
  }
  PlaceValue value = value_in(place.kind, *text);
  if (!value) return Error{"read " + place.path, EILSEQ, {}};
  return value;
}

Status write_place(const Tree& tree, const Place& place, const PlaceValue& value) {
  switch (place.kind) {
    case PlaceKind::kDirectory:
      return value ? tree.make_directory(place.path) : tree.remove_directory(place.path);
    case PlaceKind::kFile:
      return value ? tree.replace_file(place.path, *value) : tree.remove_file(place.path);
    default:
      if (!value) return Error{"write nothing to " + place.path, EINVAL, {}};
      return tree.write_value(place.path, *value);
  }
}

bool same_value(PlaceKind kind, const PlaceValue& a, const PlaceValue& b) {
  if (a && b && kind == PlaceKind::kCpuList) return CpuSet::of_list(*a) == CpuSet::of_list(*b);
  if (a && b && kind == PlaceKind::kCpuMask) return CpuSet::of_mask(*a) == CpuSet::of_mask(*b);
  if (a && b && kind == PlaceKind::kCacheWays) return without_padding(*a) == without_padding(*b);
  return a == b;
}

const char* place_kind_name(PlaceKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<PlaceKind> place_kind_of(std::string_view name) {
  for (std::size_t at = 0; at < kNames.size(); ++at) {
    if (name == kNames[at]) return static_cast<PlaceKind>(at);
  }
  return std::nullopt;
}

}  // namespace deja::tuning
