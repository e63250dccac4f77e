// "did you mean": the known name that is nearest to one that is not known. For configs, expressions
// and tools, wherever a person mistyped; it allocates, so not for the way of an event. Any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deja {

/// Names longer than this are compared up to here: names from outside must not cost quadratic time.
inline constexpr std::size_t kNearestNameBytesMax = 128;

/// How many bytes must be inserted, removed, replaced or swapped with their neighbour to make `b`
/// of `a` (optimal string alignment). Upper and lower case of ASCII letters are the same.
[[nodiscard]] inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kNearestNameBytesMax);
  b = b.substr(0, kNearestNameBytesMax);
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0U : 1U)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                           lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// The nearest of `names` (any range of what a string_view can be made of; the view returned is of
/// its element), or nothing when even that one differs in more than a third of its letters. Of
/// equally near ones the first.
template <typename Names>
[[nodiscard]] std::optional<std::string_view> nearest_name(std::string_view wanted,
                                                           const Names& names) {
  const std::size_t limit = wanted.size() < 2 ? 0 : std::max<std::size_t>(1, wanted.size() / 3);
  std::optional<std::string_view> nearest;
  std::size_t nearest_distance = limit + 1;
  for (const auto& name : names) {
    const std::string_view candidate(name);
    const std::size_t difference = candidate.size() > wanted.size()
                                       ? candidate.size() - wanted.size()
                                       : wanted.size() - candidate.size();
    if (difference > limit) continue;
    const std::size_t distance = edit_distance(wanted, candidate);
    if (distance >= nearest_distance) continue;
    nearest = candidate;
    nearest_distance = distance;
  }
  return nearest;
}

/// `; did you mean "top"?`, or nothing: to be put behind a complaint.
template <typename Names>
[[nodiscard]] std::string did_you_mean(std::string_view wanted, const Names& names,
                                       char quote = '"') {
  const std::optional<std::string_view> nearest = nearest_name(wanted, names);
  if (!nearest) return {};
  std::string text = "; did you mean ";
  text.append(1, quote).append(*nearest).append(1, quote).append("?");
  return text;
}

}  // namespace deja
