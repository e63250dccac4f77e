// Threads over a memory that is as weak as C++ allows, explored in all interleavings and with all
// values that each load may return. The semantics are those of views over messages: RC11 (Lahav et
// al., 2017) in the operational form of Kang et al. (2017) without promises.
//
//   a location    its stores in modification order; each is a message (value, view)
//   a view        for every location the newest message that one knows of
//   load          any message of the location that is not older than one's view; acquire joins the
//                 message's view into one's own, relaxed keeps it for a later acquire fence
//   store         appends; release sends one's view along, relaxed that of the last release fence
//   seq_cst fence both fences, and joins with, then leaves, one common view
//   plain access  no choice: if another message could be read, or another's read is not known to be
//                 over, it is a data race, which is a violation
//
// Every location has one writer, as in the product ("one file per writer"), so that appending is
// the only modification order there is. Without promises a load can't be overtaken by a later store
// of its own thread; README.md says why that misses nothing here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/model/explorer.h"

namespace deja::model {

using Byte = std::uint8_t;

inline constexpr int kLocations = 10;
inline constexpr int kMessages = 10;
inline constexpr int kRegisters = 8;
inline constexpr int kThreads = 2;

enum class Access : Byte { kPlain, kRelaxed, kAcquire, kRelease, kSeqCst };

enum class Op : Byte {
  kLoad,   // registers[a] = [location + registers[index] × stride]
  kAwait,  // the same, but only a value ≥ `value`: a loop that loads until it has one
  kStore,  // [location…] = value
  kFence,  // access
  kIfEqual,
  kIfNot,  // registers[a] against value: go to `target`
  kIfSame,
  kIfDifferent,  // registers[a] against registers[b]
  kGoto,
  kRing,   // a byte into the sleeper's FIFO
  kSleep,  // until there is a byte. Waiting here for good is a violation
  kDrain,  // empties the FIFO
  kFail,   // `text` is what was broken
  kEnd,
};

struct Instruction {
  Op op = Op::kEnd;
  Access access = Access::kRelaxed;
  int location = 0;
  int index = -1;
  int stride = 0;
  int a = 0;
  int b = 0;
  int value = 0;
  int target = 0;
  const char* text = "";
};

/// A thread's code, written top to bottom; labels are numbers of one's own choice.
class Program {
 public:
  struct Place {
    int location;
    int index = -1;  ///< a register, added `stride` times
    int stride = 0;
  };
  void load(int reg, Place from, Access access);
  void await(int reg, Place from, Access access, int at_least);
  void store(Place to, Access access, int value);
  void fence(Access access);
  void if_equal(int reg, int value, int label);
  void if_not(int reg, int value, int label);
  void if_same(int reg, int other, int label);
  void if_different(int reg, int other, int label);
  void go(int label);
  void ring();
  void sleep();
  void drain();
  void fail(const char* what);
  void label(int number);
  void end();

  /// With labels resolved.
  [[nodiscard]] std::vector<Instruction> code() const;

 private:
  Instruction& add(Op op);
  std::vector<Instruction> code_;
  std::vector<int> labels_;
};

/// Both threads, and what memory holds when they begin.
struct Litmus {
  Program threads[kThreads];
  std::vector<int> initial = std::vector<int>(kLocations, 0);
  std::vector<std::string_view> names;  // of the locations, for traces
};

struct MemoryState {
  /// Of each location the newest known message, then the newest known number of plain reads.
  struct View {
    Byte known[2 * kLocations];
  };
  struct Message {
    Byte value;
    View view;
  };
  struct Thread {
    Byte at;
    Byte registers[kRegisters];
    View now;       // what every access sees
    View acquired;  // what an acquire fence would add
    View released;  // what a relaxed store sends along
  };
  Thread threads[kThreads];
  View fences;  // of the seq_cst fences
  Byte count[kLocations];
  Byte reads[kLocations];
  Byte fifo;
  Byte violation;  // 1 + instruction of kFail, 255: a data race
  Byte violator;
  Message messages[kLocations][kMessages];
  Byte reserved[7];
};

class Machine {
 public:
  using State = MemoryState;
  explicit Machine(const Litmus& litmus);

  [[nodiscard]] State initial() const;
  void successors(const State& from, Moves<State>& moves) const;
  [[nodiscard]] const char* violation(const State& state, const Moves<State>& moves) const;
  /// What a step of a trace did.
  [[nodiscard]] std::string describe(const State& before, const State& after) const;

 private:
  void step(const State& from, int thread, Moves<State>& moves) const;
  void load(const State& from, int thread, const Instruction& what, Moves<State>& moves) const;
  void store(State& to, int thread, const Instruction& what) const;
  static int place_of(const State& state, int thread, const Instruction& what);

  std::vector<Instruction> code_[kThreads];
  std::vector<int> initial_;
  std::vector<std::string_view> names_;
};

}  // namespace deja::model
