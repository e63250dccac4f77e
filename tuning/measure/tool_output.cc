#include "tuning/measure/tool_output.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>

#include "tuning/cpu_set.h"
#include "tuning/measure/lines.h"

namespace deja::tuning {
namespace {

constexpr std::size_t kLineBytesMax = 1024;

std::optional<double> number_of(const std::string& word) {
  char* end = nullptr;
  const double number = std::strtod(word.c_str(), &end);
  if (word.empty() || *end != '\0' || !(number >= 0) || number > 1e15) return std::nullopt;
  return number;
}

/// The words of a line, bars left out.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : line.substr(0, kLineBytesMax)) {
    if (c != ' ' && c != '\t' && c != '|' && c != '\r') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

/// Rows "CPU #COUNT value value …" whose values are these columns, in this order.
template <std::size_t kColumns>
std::vector<ToolLine> read_rows(std::string_view output, const std::string& tool,
                                const std::array<const char*, kColumns>& columns) {
  std::vector<ToolLine> lines;
  each_line(output, [&](std::string_view text) {
    const std::vector<std::string> words = words_of(text);
    if (words.size() < kColumns + 2 || words[1].front() != '#') return;
    const std::optional<double> core = number_of(words[0]);
    if (!core || *core >= kCoresMax) return;
    ToolLine line{tool, static_cast<int>(*core), {}};
    for (std::size_t at = 0; at < kColumns; ++at) {
      const std::optional<double> value = number_of(words[at + 2]);
      if (!value) return;
      line.values[columns[at]] = *value;
    }
    lines.push_back(std::move(line));
  });
  return lines;
}

}  // namespace

std::vector<ToolLine> read_cyclictest(std::string_view output, const std::vector<int>& cores) {
  std::vector<ToolLine> lines;
  each_line(output, [&](std::string_view text) {
    const std::vector<std::string> words = words_of(text);
    if (words.size() < 2 || words[0] != "T:") return;
    const std::optional<double> thread = number_of(words[1]);
    if (!thread || *thread >= static_cast<double>(cores.size())) return;
    ToolLine line{"cyclictest", cores[static_cast<std::size_t>(*thread)], {}};
    for (std::size_t at = 2; at + 1 < words.size(); ++at) {
      const std::optional<double> value = number_of(words[at + 1]);
      if (!value) continue;
      if (words[at] == "Min:") line.values["min_us"] = *value;
      if (words[at] == "Avg:") line.values["avg_us"] = *value;
      if (words[at] == "Max:") line.values["max_us"] = *value;
    }
    if (line.values.size() == 3) lines.push_back(std::move(line));
  });
  return lines;
}

std::vector<ToolLine> read_osnoise(std::string_view output) {
  constexpr std::array<const char*, 10> kColumns = {
      "runtime_us", "noise_us", "available_percent", "max_noise_us", "max_single_us", "hardware",
      "nmi",        "irq",      "softirq",           "thread"};
  return read_rows(output, "rtla osnoise", kColumns);
}

std::vector<ToolLine> read_timerlat(std::string_view output) {
  constexpr std::array<const char*, 8> kColumns = {
      "irq_now_us",    "irq_min_us",    "irq_avg_us",    "irq_max_us",
      "thread_now_us", "thread_min_us", "thread_avg_us", "thread_max_us"};
  return read_rows(output, "rtla timerlat", kColumns);
}

}  // namespace deja::tuning
