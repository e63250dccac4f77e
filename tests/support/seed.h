// The seed of a random test: DEJA_SEED where set, else a fresh one. Printed, so that a failure can
// be run again.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace deja {

[[nodiscard]] inline std::uint64_t test_seed() {
  const char* given = std::getenv("DEJA_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                                              : std::random_device{}() * std::uint64_t{0x9e3779b1};
  std::printf("DEJA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace deja
