// The recipe of shared memory, journal and Redis as a transition system: what each process may do
// next in a state. Steps are single stores where somebody else (or a successor after a kill) can
// see a difference, and one step where nobody can. README.md says what stands for what.
#pragma once

#include <string>

#include "tests/model/explorer.h"
#include "tests/model/recipe/configuration.h"
#include "tests/model/recipe/state.h"

namespace deja::model {

enum class Violation : Byte {
  kNone,
  kAppliedTwice,
  kNeverSent,
  kLoggedTwice,
  kAckedAndLost,
  kAckedAndNotVisible,
  kRedisWentBack,
  kWatermarkAbove,
  kGap,
  kSequenceNotNext,
  kNeverAcked,
  kRedisNotTheTable,
  kPartialForGood,
  kStuck,
};

/// A worker's stores, in the order in which a batch makes them.
enum class BatchStep : Byte { kLog, kPublish, kIds, kSequence, kConsumed, kApplied, kEnd };

class Recipe {
 public:
  using State = deja::model::State;
  using Step = Moves<State>;

  explicit Recipe(const Configuration& configuration, Mutant mutant = Mutant::kNone);

  [[nodiscard]] State initial() const;
  void successors(const State& from, Step& moves) const;
  [[nodiscard]] const char* violation(const State& state, const Step& moves) const;

  /// One line about a state, for a trace.
  [[nodiscard]] std::string describe(const State& state) const;

 private:
  [[nodiscard]] bool is(Mutant mutant) const { return mutant_ == mutant; }
  [[nodiscard]] int user_of(int event) const { return configuration_.user_of[event]; }
  static void fail(State& state, Violation violation);
  [[nodiscard]] LogRecord& log_at(State& state, int position) const {
    return state.log[position % configuration_.log_slots];
  }
  [[nodiscard]] const LogRecord& log_at(const State& state, int position) const {
    return state.log[position % configuration_.log_slots];
  }
  [[nodiscard]] static bool journal_matters(const State& state) {
    return state.budget.power_losses + state.budget.memory_losses != 0 ||
           state.keeper.recovery_step != 0;
  }

  /// A write that is in the file but not on the disk differs from one that is under way only where
  /// somebody may read the file before the power goes, or write to the same place.
  [[nodiscard]] bool landing_matters(const State& state) const {
    return state.budget.memory_losses != 0 || is(Mutant::kSegmentReused);
  }

  void settle(State& state) const;

  // producers and ingest: producers.cc
  void producers(const State& from, Step& moves) const;
  void acks(const State& from, Step& moves) const;

  // worker: worker_batch.cc, worker_redo.cc, worker_return.cc
  void worker(const State& from, Step& moves) const;
  void take_batch(const State& from, int ring, int count, Step& moves) const;
  void batch_step(const State& from, Step& moves) const;
  void log_batch(State& to) const;
  void next_store(State& to) const;
  [[nodiscard]] bool has_store(const State& state, BatchStep what, int at) const;
  [[nodiscard]] int batch_from(const State& state) const;
  void publish(State& to, const LogRecord& record) const;
  [[nodiscard]] int log_room(const State& from) const;
  void begin_redo(State& to) const;
  void redo_step(const State& from, Step& moves) const;
  void take_returned(const State& from, Step& moves) const;
  void evict(const State& from, Step& moves) const;

  // keeper: keeper_journal.cc, keeper_pass.cc, recovery.cc
  void keeper_journal(const State& from, Step& moves) const;
  void begin_group(State& to) const;
  void land(State& to) const;
  void open_segment(State& to) const;
  void drain(State& to) const;
  void touch(State& to, int user, int sequence) const;
  void walk_all(State& to) const;
  void keeper_pass(const State& from, Step& moves) const;
  void copy_next(State& to) const;
  [[nodiscard]] bool wants_write(State& to, int user) const;
  void end_pass(State& to) const;
  void connection_lost(State& to) const;
  void execute(State& to, const Command& command) const;
  void fetch(const State& from, Step& moves) const;
  void begin_keeper(State& to) const;
  void recovery(const State& from, Step& moves) const;
  [[nodiscard]] bool is_void(const State& state, int segment, int sequence) const;
  [[nodiscard]] int find_record(const State& state, int sequence) const;
  [[nodiscard]] int newest_sequence(const State& state) const;
  [[nodiscard]] bool replayed(const State& state, int user) const;
  void recovered(State& to) const;

  // what goes wrong and what passes: faults.cc
  void faults(const State& from, Step& moves) const;
  void kills(const State& from, Step& moves) const;
  void kill_worker(State& to) const;
  void kill_keeper(State& to) const;
  void lose_memory(State& to) const;
  void losses(const State& from, Step& moves) const;
  void late_arrivals(const State& from, Step& moves) const;
  void time_passes(const State& from, Step& moves) const;
  void prune(State& to) const;

  // properties.cc
  [[nodiscard]] Violation broken(const State& state) const;
  [[nodiscard]] Violation at_rest(const State& state) const;
  void tidy(State& state) const;

  Configuration configuration_;
  Mutant mutant_;
  BatchStep order_[8] = {};
};

[[nodiscard]] const char* text_of(Violation violation);

}  // namespace deja::model
