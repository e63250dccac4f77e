// Visits every state that a model can reach, breadth first, so that the first violation found has
// the fewest steps. A model is a type with
//   State                                     bytes without padding; equal bytes are equal states
//   State initial() const
//   void successors(const State&, Moves<State>&) const
//   const char* violation(const State&, const Moves<State>&) const     null: nothing is wrong
//
// A visited state is kept as a fingerprint of 128 bits: two of n states are taken for one another
// with a probability of n²/2¹²⁹, which for ten million is 10⁻²⁵. How each state was reached is kept
// as (parent, number of the successor), eight bytes, so every violation has its trace.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace deja::model {

/// What a step is called in a trace.
struct Label {
  const char* text = "";
  int number = -1;
  int second = -1;
};

/// The steps that can be taken from one state.
template <typename State>
class Moves {
 public:
  static constexpr std::size_t kMovesMax = 96;

  void begin(const State& from) {
    from_ = &from;
    count_ = 0;
    progress_ = false;
  }
  /// A step of the system itself: it will be taken if nothing else happens.
  State& add(Label label) {
    progress_ = true;
    return add_optional(label);
  }
  /// A step that may never come: a fault, an eviction, the passing of time.
  State& add_optional(Label label) {
    if (count_ == kMovesMax) __builtin_trap();
    labels_[count_] = label;
    states_[count_] = *from_;
    return states_[count_++];
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] bool progress() const { return progress_; }
  [[nodiscard]] const State& state(std::size_t at) const { return states_[at]; }
  [[nodiscard]] State& state(std::size_t at) { return states_[at]; }
  [[nodiscard]] const Label& label(std::size_t at) const { return labels_[at]; }

 private:
  const State* from_ = nullptr;
  std::size_t count_ = 0;
  bool progress_ = false;
  std::array<Label, kMovesMax> labels_{};
  std::array<State, kMovesMax> states_{};
};

struct Fingerprint {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Fingerprint&) const = default;
};

/// Two multiply-and-fold passes over the words, with different constants.
template <typename State>
[[nodiscard]] Fingerprint fingerprint(const State& state) {
  static_assert(std::has_unique_object_representations_v<State> && sizeof(State) % 8 == 0);
  const auto mix = [](std::uint64_t value) {
    value = (value ^ (value >> 32U)) * 0xd6e8feb86659fd93U;
    return value ^ (value >> 29U);
  };
  std::uint64_t words[sizeof(State) / 8];
  std::memcpy(words, &state, sizeof state);
  Fingerprint print{0x243f6a8885a308d3U, 0x13198a2e03707344U};
  for (const std::uint64_t word : words) {
    print.low = mix(print.low ^ word) + 0x9e3779b97f4a7c15U;
    print.high = mix(print.high + word * 0xff51afd7ed558ccdU) ^ 0xc2b2ae3d27d4eb4fU;
  }
  if (print.low == 0 && print.high == 0) print.low = 1;
  return print;
}

/// Fingerprints, open addressing.
class Visited {
 public:
  Visited() : slots_(std::size_t{1} << 16U) {}
  /// True when it was not there.
  bool insert(Fingerprint print) {
    if (count_ * 10 >= slots_.size() * 7) grow();
    return place(print);
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  bool place(Fingerprint print) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = print.low & mask;
    while (slots_[at].low != 0 || slots_[at].high != 0) {
      if (slots_[at] == print) return false;
      at = (at + 1) & mask;
    }
    slots_[at] = print;
    ++count_;
    return true;
  }
  void grow() {
    std::vector<Fingerprint> old(slots_.size() * 2);
    old.swap(slots_);
    count_ = 0;
    for (const Fingerprint& print : old) {
      if (print.low != 0 || print.high != 0) place(print);
    }
  }
  std::vector<Fingerprint> slots_;
  std::size_t count_ = 0;
};

struct Exploration {
  const char* violation = nullptr;  ///< what was broken; null: nothing, in any reachable state
  bool complete = false;            ///< every reachable state was seen
  std::uint64_t states = 0;
  std::uint64_t steps = 0;
  std::uint64_t rests = 0;           ///< states in which nothing is left to be done but by a fault
  std::uint64_t depth = 0;           ///< of the last state looked at
  std::vector<std::uint32_t> trace;  ///< numbers of the successors that lead to the violation
};

template <typename Model>
class Explorer {
 public:
  using State = typename Model::State;

  explicit Explorer(const Model& model) : model_(model) {}

  [[nodiscard]] Exploration run(std::uint64_t states_max) {
    Exploration result;
    std::vector<State> level{model_.initial()};
    std::vector<State> next;
    visited_.insert(fingerprint(level.front()));
    reached_by_.push_back({0, 0});
    std::uint32_t number = 0;  // of the state at hand, in the order of discovery
    while (!level.empty()) {
      for (const State& state : level) {
        moves_.begin(state);
        model_.successors(state, moves_);
        if (!moves_.progress()) ++result.rests;
        if ((result.violation = model_.violation(state, moves_)) != nullptr) {
          result.trace = trace_to(number);
          result.states = visited_.count();
          return result;
        }
        for (std::size_t at = 0; at < moves_.count(); ++at) {
          ++result.steps;
          if (!visited_.insert(fingerprint(moves_.state(at)))) continue;
          reached_by_.push_back({number, static_cast<std::uint32_t>(at)});
          next.push_back(moves_.state(at));
        }
        ++number;
      }
      result.states = visited_.count();
      if (result.states > states_max) return result;
      level.swap(next);
      next.clear();
      ++result.depth;
    }
    result.complete = true;
    return result;
  }

 private:
  struct Reached {
    std::uint32_t parent;
    std::uint32_t successor;
  };
  [[nodiscard]] std::vector<std::uint32_t> trace_to(std::uint32_t number) const {
    std::vector<std::uint32_t> trace;
    for (; number != 0; number = reached_by_[number].parent) {
      trace.insert(trace.begin(), reached_by_[number].successor);
    }
    return trace;
  }

  const Model& model_;
  Moves<State> moves_;
  Visited visited_;
  std::vector<Reached> reached_by_;
};

}  // namespace deja::model
