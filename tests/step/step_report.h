// What a scene's steps came to: the numbers, the complaints, and the line that says them. How far a
// run goes is told by its environment (README.md). Test code; header only; one thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace deja {

/// DEJA_STEP_KILLS: so many real kills in each scene, at instructions drawn at random.
[[nodiscard]] inline std::uint64_t real_kills() {
  const char* text = std::getenv("DEJA_STEP_KILLS");
  return text == nullptr ? 3 : std::strtoull(text, nullptr, 10);
}
/// DEJA_STEP_SECOND: at every n-th picture the recovery is killed too.
[[nodiscard]] inline std::uint64_t second_level_every() {
  const char* text = std::getenv("DEJA_STEP_SECOND");
  return text == nullptr ? 20 : std::strtoull(text, nullptr, 10);
}

struct StepReport {
  explicit StepReport(std::string scene) : name(std::move(scene)) {}

  /// Each complaint begins with what kind of wrong it is.
  void complain(const std::vector<std::string>& complaints) {
    for (const std::string& complaint : complaints) {
      std::uint64_t& count = complaint.starts_with("lost")      ? lost
                             : complaint.starts_with("doubled") ? doubled
                             : complaint.starts_with("torn")    ? torn
                                                                : wrong;
      ++count;
      if (++told <= 8) {
        ADD_FAILURE() << name << ", instruction " << steps << ": " << complaint;
      }
    }
  }
  /// tests/reliability reads this line.
  void print(std::uint64_t bytes) const {
    const auto as = [](std::uint64_t count) { return static_cast<unsigned long long>(count); };
    std::printf(
        "%s: %llu instructions, %llu changed shared memory (%llu bytes), %llu pictures, "
        "%llu recoveries, %llu of them after a kill inside of one, %llu real kills; "
        "%llu lost, %llu doubled, %llu torn, %llu otherwise wrong\n",
        name.c_str(), as(steps), as(changes), as(bytes), as(pictures), as(recoveries), as(second),
        as(kills), as(lost), as(doubled), as(torn), as(wrong));
    EXPECT_EQ(lost + doubled + torn + wrong, 0U);
  }

  std::string name;
  std::uint64_t steps = 0, changes = 0, pictures = 0, recoveries = 0, second = 0, kills = 0;
  std::uint64_t lost = 0, doubled = 0, torn = 0, wrong = 0, told = 0;
};

}  // namespace deja
