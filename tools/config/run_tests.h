// A config's [[test]]s, run with the real feature engine on events made in memory: what passes here
// is what a worker does. Tools; it allocates. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "tools/config/config.h"

namespace deja {

struct TestMismatch {
  std::string feature;
  std::string expected;  ///< JSON
  std::string seen;      ///< JSON
};

struct TestOutcome {
  std::string name;
  std::uint32_t line = 0;  ///< of the test in the config
  std::vector<TestMismatch> mismatches;

  [[nodiscard]] bool passed() const { return mismatches.empty(); }
};

/// One outcome for each test of the config. An error is a fault of ours: a config that was loaded
/// gives a catalog that compiles.
[[nodiscard]] Result<std::vector<TestOutcome>> run_tests(const Config& config);

/// Expected values against a finished feature's JSON: numbers within 1e-9 of each other, of a table
/// the listed members alone, {} for null. False where `seen` is no JSON.
[[nodiscard]] bool matches_json(const TomlValue& expected, const std::string& seen);

/// The expected value as JSON.
[[nodiscard]] std::string json_of(const TomlValue& value);

}  // namespace deja
