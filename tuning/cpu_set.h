// A set of cores, in the two forms that the kernel's files have: lists ("0-3,8") and masks
// ("ff,00000000"). Plain data; any thread.
#pragma once

#include <bitset>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deja::tuning {

inline constexpr int kCoresMax = 8192;  ///< as many as Linux can be built for (NR_CPUS)

class CpuSet {
 public:
  CpuSet() = default;
  CpuSet(std::initializer_list<int> cores) {
    for (const int core : cores) add(core);
  }

  /// "0-3,8", or nothing for the empty set. Not a list, or a core beyond kCoresMax: nullopt.
  [[nodiscard]] static std::optional<CpuSet> of_list(std::string_view list);
  /// Groups of hexadecimal digits, the highest first: "f", "ff,00000000".
  [[nodiscard]] static std::optional<CpuSet> of_mask(std::string_view mask);

  /// "0-3,8"; the empty set is "".
  [[nodiscard]] std::string list() const;
  /// "ff,00000000"; the empty set is "0".
  [[nodiscard]] std::string mask() const;

  /// Ignores what is no core's number: negative, or beyond kCoresMax.
  void add(int core) {
    if (core >= 0 && core < kCoresMax) bits_.set(static_cast<std::size_t>(core));
  }
  [[nodiscard]] bool has(int core) const {
    return core >= 0 && core < kCoresMax && bits_.test(static_cast<std::size_t>(core));
  }
  [[nodiscard]] bool empty() const { return bits_.none(); }
  [[nodiscard]] std::size_t count() const { return bits_.count(); }
  [[nodiscard]] std::vector<int> cores() const;  ///< ascending

  [[nodiscard]] bool contains(const CpuSet& other) const { return (other.bits_ & ~bits_).none(); }
  [[nodiscard]] CpuSet operator&(const CpuSet& other) const { return CpuSet(bits_ & other.bits_); }
  [[nodiscard]] CpuSet operator|(const CpuSet& other) const { return CpuSet(bits_ | other.bits_); }
  [[nodiscard]] CpuSet operator-(const CpuSet& other) const { return CpuSet(bits_ & ~other.bits_); }
  bool operator==(const CpuSet& other) const = default;

 private:
  using Bits = std::bitset<kCoresMax>;
  explicit CpuSet(const Bits& bits) : bits_(bits) {}
  Bits bits_;
};

}  // namespace deja::tuning
