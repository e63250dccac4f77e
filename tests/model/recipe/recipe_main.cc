// recipe_model: explores the recipe in each configuration, and each of its mutants until it is
// found.
//
//   recipe_model                        all; exit 0 when the recipe holds and every mutant is found
//   recipe_model --recipe | --mutants   one half of it
//   recipe_model NAME                   one configuration, or one mutant in its configuration
//   recipe_model NAME --in CONFIGURATION --trace    elsewhere; with the shortest way to a violation
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "tests/model/recipe/recipe.h"

namespace deja::model {
namespace {

constexpr std::uint64_t kStatesMax = 60'000'000;

void print_trace(const Recipe& recipe, const Exploration& found) {
  auto moves = std::make_unique<Moves<State>>();
  State state = recipe.initial();
  int number = 0;
  for (const std::uint32_t successor : found.trace) {
    moves->begin(state);
    recipe.successors(state, *moves);
    const Label label = moves->label(successor);
    std::printf("  %3d. %s", ++number, label.text);
    if (label.number >= 0) std::printf(" %d", label.number);
    if (label.second >= 0) std::printf(", %d", label.second);
    const State next = moves->state(successor);
    state = next;
    std::printf("\n         %s\n", recipe.describe(state).c_str());
  }
  std::printf("  → %s\n", found.violation);
}

/// True when the outcome is the expected one.
bool explore(const Configuration& configuration, const MutantFacts* mutant, bool trace) {
  const auto began = std::chrono::steady_clock::now();
  const Recipe recipe(configuration, mutant == nullptr ? Mutant::kNone : mutant->mutant);
  auto explorer = std::make_unique<Explorer<Recipe>>(recipe);
  const Exploration found = explorer->run(kStatesMax);
  const double took_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const bool expected = mutant != nullptr && mutant->found
                            ? found.violation != nullptr
                            : found.violation == nullptr && found.complete && found.rests != 0;
  const std::string_view name = mutant == nullptr ? "(the recipe)" : mutant->name;
  const std::string outcome = found.violation != nullptr ? std::to_string(found.trace.size()) +
                                                               " steps to: " + found.violation
                              : found.complete ? "nothing found, all states seen"
                                               : "too many states";
  std::printf("%-8.*s %-30.*s %9" PRIu64 " states %9" PRIu64 " steps %7" PRIu64
              " at rest %5.1f s  %s%s\n",
              static_cast<int>(configuration.name.size()), configuration.name.data(),
              static_cast<int>(name.size()), name.data(), found.states, found.steps, found.rests,
              took_s, expected ? "" : "NOT AS EXPECTED: ", outcome.c_str());
  std::fflush(stdout);
  if (found.violation != nullptr && (trace || !expected)) print_trace(recipe, found);
  return expected;
}

int run(int count, char** arguments) {
  bool trace = false;
  std::string_view name;
  std::string_view in;
  for (int at = 1; at < count; ++at) {
    const std::string_view argument = arguments[at];
    if (argument == "--trace") {
      trace = true;
    } else if (argument == "--in" && at + 1 < count) {
      in = arguments[++at];
    } else {
      name = argument;
    }
  }
  bool as_expected = true;
  bool any = false;
  for (const Configuration& configuration : configurations()) {
    if (!name.empty() && name != "--recipe" && name != configuration.name) continue;
    as_expected &= explore(configuration, nullptr, trace);
    any = true;
  }
  for (const MutantFacts& mutant : mutants()) {
    if (!name.empty() && name != "--mutants" && name != mutant.name) continue;
    as_expected &=
        explore(configuration_of(in.empty() ? mutant.configuration : in), &mutant, trace);
    any = true;
  }
  if (!any) {
    std::fprintf(stderr, "recipe_model: no such configuration or mutant\n");
    return 2;
  }
  return as_expected ? 0 : 1;
}

}  // namespace
}  // namespace deja::model

int main(int count, char** arguments) {
  return deja::model::run(count, arguments);
}
