#include "tuning/cpu_set.h"

#include <algorithm>
#include <charconv>

namespace deja::tuning {
namespace {

constexpr std::size_t kDigitsOfGroup = 8;
constexpr std::size_t kBitsOfDigit = 4;

std::optional<int> core_of(std::string_view digits) {
  int core = 0;
  const char* end = digits.data() + digits.size();
  const auto [stopped, fault] = std::from_chars(digits.data(), end, core);
  if (digits.empty() || fault != std::errc{} || stopped != end) return std::nullopt;
  if (core < 0 || core >= kCoresMax) return std::nullopt;
  return core;
}

int value_of_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<CpuSet> CpuSet::of_list(std::string_view list) {
  CpuSet set;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view range = list.substr(0, comma);
    const std::size_t dash = range.find('-');
    const std::optional<int> first = core_of(range.substr(0, dash));
    const std::optional<int> last =
        dash == std::string_view::npos ? first : core_of(range.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    for (int core = *first; core <= *last; ++core) set.add(core);
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
    if (list.empty()) return std::nullopt;
  }
  return set;
}

std::optional<CpuSet> CpuSet::of_mask(std::string_view mask) {
  CpuSet set;
  std::size_t bit = 0;
  std::size_t digits = 0;
  std::size_t group = 0;
  for (std::size_t at = mask.size(); at-- > 0;) {
    if (mask[at] == ',') {
      // Between two groups, of which all but the highest are whole.
      if (group != kDigitsOfGroup || at == 0) return std::nullopt;
      group = 0;
      continue;
    }
    const int value = value_of_digit(mask[at]);
    if (value < 0 || ++group > kDigitsOfGroup) return std::nullopt;
    for (std::size_t low = 0; low < kBitsOfDigit; ++low) {
      if ((static_cast<unsigned>(value) >> low & 1U) == 0) continue;
      if (bit + low >= kCoresMax) return std::nullopt;
      set.bits_.set(bit + low);
    }
    bit += kBitsOfDigit;
    ++digits;
  }
  return digits == 0 ? std::nullopt : std::optional(set);
}

std::string CpuSet::list() const {
  std::string text;
  for (int core = 0; core < kCoresMax; ++core) {
    if (!has(core)) continue;
    const int first = core;
    while (has(core + 1)) ++core;
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (core > first) text.append("-").append(std::to_string(core));
  }
  return text;
}

std::string CpuSet::mask() const {
  constexpr char kDigits[] = "0123456789abcdef";
  const std::vector<int> all = cores();
  const std::size_t highest = all.empty() ? 0 : static_cast<std::size_t>(all.back());
  std::string text;
  for (std::size_t digit = highest / kBitsOfDigit + 1; digit-- > 0;) {
    unsigned value = 0;
    for (std::size_t low = 0; low < kBitsOfDigit; ++low) {
      value |= static_cast<unsigned>(bits_.test(digit * kBitsOfDigit + low)) << low;
    }
    text += kDigits[value];
    if (digit % kDigitsOfGroup == 0 && digit != 0) text += ',';
  }
  return text;
}

std::vector<int> CpuSet::cores() const {
  std::vector<int> all;
  for (int core = 0; core < kCoresMax; ++core) {
    if (has(core)) all.push_back(core);
  }
  return all;
}

}  // namespace deja::tuning
