#include "tuning/rules.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace deja::tuning {
namespace {

std::optional<CpuSet> cores_in(PlaceKind kind, const std::string& text) {
  return kind == PlaceKind::kCpuMask ? CpuSet::of_mask(text) : CpuSet::of_list(text);
}

}  // namespace

std::optional<std::int64_t> number_in(const std::string& text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, fault] = std::from_chars(text.data(), end, number);
  if (text.empty() || fault != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

Part number_part(std::string label, std::string path, std::int64_t least, std::int64_t most,
                 std::int64_t right) {
  const auto judge = [least, most](const std::string& value) {
    const std::optional<std::int64_t> number = number_in(value);
    if (!number) return Verdict::kGarbage;
    return *number >= least && *number <= most ? Verdict::kRight : Verdict::kWrong;
  };
  return {
      std::move(label), {PlaceKind::kPlain, std::move(path)}, judge, [right](const std::string&) {
        return std::to_string(right);
      }};
}

Part word_part(std::string label, Place place, std::vector<std::string> fine) {
  const std::string right = fine.front();
  const auto judge = [fine = std::move(fine)](const std::string& value) {
    const bool is_word = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-';
    });
    if (!is_word) return Verdict::kGarbage;
    const bool is_fine = std::find(fine.begin(), fine.end(), value) != fine.end();
    return is_fine ? Verdict::kRight : Verdict::kWrong;
  };
  return {std::move(label), std::move(place), judge, [right](const std::string&) { return right; }};
}

Part cores_part(const Host& host, const CpuSet& off, std::string label, Place place) {
  const PlaceKind kind = place.kind;
  const auto judge = [kind, off](const std::string& value) {
    const std::optional<CpuSet> cores = cores_in(kind, value);
    if (!cores) return Verdict::kGarbage;
    return (*cores & off).empty() ? Verdict::kRight : Verdict::kWrong;
  };
  const auto right = [kind, off, rest = host.housekeeping](const std::string& value) {
    CpuSet cores = cores_in(kind, value).value_or(CpuSet{}) - off;
    // An affinity without a core that is online is refused.
    if ((cores & rest).empty()) cores = rest;
    return kind == PlaceKind::kCpuMask ? cores.mask() : cores.list();
  };
  return {std::move(label), std::move(place), judge, right};
}

std::string without(const Host& host, const CpuSet& off) {
  return host.housekeeping.list() + ", not " + off.list();
}

}  // namespace deja::tuning
