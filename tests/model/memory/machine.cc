#include "tests/model/memory/machine.h"

#include <algorithm>

namespace deja::model {
namespace {

constexpr Byte kRace = 255;

using View = MemoryState::View;

void join(View& into, const View& other) {
  for (int at = 0; at < 2 * kLocations; ++at) {
    into.known[at] = std::max(into.known[at], other.known[at]);
  }
}

bool at_least(Access access, Access wanted) {
  return access == wanted || access == Access::kSeqCst;
}

}  // namespace

Machine::Machine(const Litmus& litmus) : initial_(litmus.initial), names_(litmus.names) {
  for (int thread = 0; thread < kThreads; ++thread) code_[thread] = litmus.threads[thread].code();
}

MemoryState Machine::initial() const {
  State state{};
  for (int location = 0; location < kLocations; ++location) {
    state.count[location] = 1;
    state.messages[location][0].value =
        static_cast<Byte>(initial_[static_cast<std::size_t>(location)]);
  }
  return state;
}

void Machine::successors(const State& from, Moves<State>& moves) const {
  if (from.violation != 0) return;
  for (int thread = 0; thread < kThreads; ++thread) step(from, thread, moves);
}

int Machine::place_of(const State& state, int thread, const Instruction& what) {
  if (what.index < 0) return what.location;
  return what.location + state.threads[thread].registers[what.index] * what.stride;
}

void Machine::step(const State& from, int number, Moves<State>& moves) const {
  const MemoryState::Thread& thread = from.threads[number];
  const Instruction& what = code_[number][thread.at];
  if (what.op == Op::kEnd || (what.op == Op::kSleep && from.fifo == 0)) return;
  if (what.op == Op::kLoad || what.op == Op::kAwait) {
    load(from, number, what, moves);
    return;
  }
  State& to = moves.add({"", number});
  MemoryState::Thread& next = to.threads[number];
  ++next.at;
  const Byte value = thread.registers[what.a];
  const Byte other = thread.registers[what.b];
  bool taken = false;
  switch (what.op) {
    case Op::kStore:
      store(to, number, what);
      return;
    case Op::kFence:
      if (at_least(what.access, Access::kAcquire)) join(next.now, next.acquired);
      if (what.access == Access::kSeqCst) {
        join(next.now, to.fences);
        to.fences = next.now;
      }
      if (at_least(what.access, Access::kRelease)) next.released = next.now;
      join(next.acquired, next.now);
      return;
    case Op::kRing:
      to.fifo = 1;
      return;
    case Op::kSleep:
      return;
    case Op::kDrain:
      to.fifo = 0;
      return;
    case Op::kFail:
      to.violation = static_cast<Byte>(thread.at + 1);
      to.violator = static_cast<Byte>(number);
      return;
    case Op::kIfEqual:
      taken = value == what.value;
      break;
    case Op::kIfNot:
      taken = value != what.value;
      break;
    case Op::kIfSame:
      taken = value == other;
      break;
    case Op::kIfDifferent:
      taken = value != other;
      break;
    default:
      taken = true;
      break;
  }
  if (taken) next.at = static_cast<Byte>(what.target);
}

void Machine::load(const State& from, int number, const Instruction& what,
                   Moves<State>& moves) const {
  const int location = place_of(from, number, what);
  const int newest = from.count[location] - 1;
  for (int at = from.threads[number].now.known[location]; at <= newest; ++at) {
    const MemoryState::Message& message = from.messages[location][at];
    if (what.op == Op::kAwait && message.value < what.value) continue;
    State& to = moves.add({"", number});
    MemoryState::Thread& thread = to.threads[number];
    if (what.access == Access::kPlain && at != newest) to.violation = kRace;
    ++thread.at;
    thread.registers[what.a] = message.value;
    thread.now.known[location] = static_cast<Byte>(at);
    if (what.access == Access::kPlain) {
      thread.now.known[kLocations + location] = ++to.reads[location];
    }
    join(thread.acquired, message.view);
    if (at_least(what.access, Access::kAcquire)) join(thread.now, message.view);
    join(thread.acquired, thread.now);
  }
}

void Machine::store(State& to, int number, const Instruction& what) const {
  const int location = place_of(to, number, what);
  MemoryState::Thread& thread = to.threads[number];
  const Byte at = to.count[location]++;
  // One writer: it knows of all stores before. kMessages is enough for every program here.
  if (at == kMessages || thread.now.known[location] + 1 != at) __builtin_trap();
  if (what.access == Access::kPlain &&
      thread.now.known[kLocations + location] != to.reads[location]) {
    to.violation = kRace;
  }
  thread.now.known[location] = at;
  MemoryState::Message& message = to.messages[location][at];
  message.value = static_cast<Byte>(what.value);
  message.view = at_least(what.access, Access::kRelease) ? thread.now : thread.released;
  message.view.known[location] = at;
  join(thread.acquired, thread.now);
}

const char* Machine::violation(const State& state, const Moves<State>& moves) const {
  if (state.violation == kRace) return "a data race";
  if (state.violation != 0) return code_[state.violator][state.violation - 1].text;
  if (moves.count() != 0) return nullptr;
  for (int thread = 0; thread < kThreads; ++thread) {
    const Op op = code_[thread][state.threads[thread].at].op;
    if (op == Op::kSleep) return "a wake-up is lost";
    if (op != Op::kEnd) return "a thread waits for good";
  }
  return nullptr;
}

std::string Machine::describe(const State& before, const State& after) const {
  int number = 0;
  while (number + 1 < kThreads && before.threads[number].at == after.threads[number].at) ++number;
  const Instruction& what = code_[number][before.threads[number].at];
  const auto name = [&](int location) {
    return std::string(names_[static_cast<std::size_t>(location)]);
  };
  static constexpr const char* kAccess[] = {"plain", "relaxed", "acquire", "release", "seq_cst"};
  const std::string access = kAccess[static_cast<int>(what.access)];
  std::string text = number == 0 ? "" : "                                        ";
  switch (what.op) {
    case Op::kLoad:
    case Op::kAwait: {
      const int location = place_of(before, number, what);
      text += "load " + name(location) + " (" + access +
              ") = " + std::to_string(after.threads[number].registers[what.a]);
      if (after.threads[number].now.known[location] + 1 < after.count[location]) text += ", old";
      return text;
    }
    case Op::kStore:
      return text + "store " + name(place_of(before, number, what)) + " = " +
             std::to_string(what.value) + " (" + access + ")";
    case Op::kFence:
      return text + "fence (" + access + ")";
    case Op::kRing:
      return text + "ring the bell";
    case Op::kSleep:
      return text + "wake up";
    case Op::kDrain:
      return text + "empty the FIFO";
    case Op::kFail:
      return text + what.text;
    default:
      return "";
  }
}

}  // namespace deja::model
