#include "tuning/measure/interference.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "tuning/measure/lines.h"

namespace deja::tuning {
namespace {

// Of a line "cpuN user nice system idle iowait irq softirq steal".
constexpr std::size_t kStealField = 8;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
    if (end > at) words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::optional<std::uint64_t> count_in(std::string_view word) {
  std::uint64_t count = 0;
  const auto [stopped, fault] = std::from_chars(word.data(), word.data() + word.size(), count);
  if (fault != std::errc{} || stopped != word.data() + word.size()) return std::nullopt;
  return count;
}

Counts subtracted(const Counts& before, const Counts& after) {
  Counts grown;
  for (const auto& [name, count] : after) {
    const auto known = before.find(name);
    const std::uint64_t old = known == before.end() ? 0 : known->second;
    if (count > old) grown[name] = count - old;
  }
  return grown;
}

}  // namespace

Counts counts_of_core(std::string_view table, int core) {
  Counts counts;
  std::size_t column = 0;  // from 1
  std::size_t columns = 0;
  const std::string wanted = "CPU" + std::to_string(core);
  each_line(table, [&](std::string_view line) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty()) return;
    if (columns == 0) {
      columns = words.size();
      const auto found = std::find(words.begin(), words.end(), wanted);
      if (found != words.end()) column = static_cast<std::size_t>(found - words.begin()) + 1;
      return;
    }
    if (column == 0 || words.size() <= column || !words[0].ends_with(':')) return;
    const std::optional<std::uint64_t> count = count_in(words[column]);
    if (!count) return;
    std::string name(words[0].substr(0, words[0].size() - 1));
    // An interrupt that has a number has its device at the end of the row.
    const bool has_device = count_in(name).has_value() && words.size() > columns + 1;
    if (has_device) name.append(" ").append(words.back());
    counts[name] = *count;
  });
  return counts;
}

std::uint64_t steal_of_core(std::string_view stat, int core) {
  std::uint64_t steal = 0;
  const std::string wanted = "cpu" + std::to_string(core);
  each_line(stat, [&](std::string_view line) {
    if (!line.starts_with(wanted)) return;
    const std::vector<std::string_view> words = words_of(line);
    if (words[0] != wanted || words.size() <= kStealField) return;
    steal = count_in(words[kStealField]).value_or(0);
  });
  return steal;
}

Interference read_interference(const Tree& tree, int core) {
  Interference seen;
  if (const auto text = tree.read_text("/proc/interrupts")) {
    seen.interrupts = counts_of_core(*text, core);
  }
  if (const auto text = tree.read_text("/proc/softirqs")) {
    seen.softirqs = counts_of_core(*text, core);
  }
  if (const auto text = tree.read_text("/proc/stat")) seen.steal_ticks = steal_of_core(*text, core);
  return seen;
}

Interference growth(const Interference& before, const Interference& after) {
  return {subtracted(before.interrupts, after.interrupts),
          subtracted(before.softirqs, after.softirqs),
          after.steal_ticks > before.steal_ticks ? after.steal_ticks - before.steal_ticks : 0};
}

}  // namespace deja::tuning
