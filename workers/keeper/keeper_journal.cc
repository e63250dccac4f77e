// From the workers' logs to what is durable: draining, the journal, the positions that ingest's
// acks wait for, and what of it a person has to know. Part of Keeper.
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "shm/base/clock.h"
#include "workers/keeper/keeper.h"

namespace deja {
namespace {

/// How long a write to Redis waits for a journal that can't be written.
constexpr std::int64_t kPatienceNs = 1'000'000'000;

}  // namespace

std::uint64_t Keeper::journal_pass(std::uint64_t records_max, bool at_once) {
  if (!journal_begun_) return 0;
  const std::uint64_t count = drain_logs(records_max);
  journal_.tick(steady_ns(), at_once);
  pruner_.writing(journal_.segment());
  bool any = false;
  if (journal_.durable_group() != told_group_) {
    told_group_ = journal_.durable_group();
    durable_us_ = wall_us();
    // Before the positions: who acquires one of them finds its instant, or a later one's.
    files_.durable_file.at<DurableLayout>()->state.durable_us.store(durable_us_,
                                                                    std::memory_order_relaxed);
  }
  const std::int64_t durable_ns = steady_ns();
  for (LogDrain& log : files_.logs) {
    any |= log.settle(told_group_, durable_us_, letters_, counters_);
  }
  show_journal();
  show_journal_lag();
  show_letters();
  if (any) {
    files_.trace.durable(files_.durable_file.at<DurableLayout>()->positions(), durable_ns);
    for (BellRope& rope : files_.ingest_bells) static_cast<void>(rope.ring_if_asleep());
  }
  return count;
}

std::uint64_t Keeper::drain_logs(std::uint64_t records_max) {
  std::uint64_t count = 0;
  const LogDrain::Into into{journal_, pruner_,   touched_,      *stored_parts_,
                            letters_, counters_, files_.process};
  for (LogDrain& log : files_.logs) count += log.drain(into, records_max);
  return count;
}

/// All that was logged when the call began. False: the journal, or a dead letter, has no room.
bool Keeper::drain_all() {
  std::vector<std::uint64_t> wanted;
  for (const LogDrain& log : files_.logs) wanted.push_back(log.logged_position());
  journal_pass(kAllRecords);
  for (std::size_t worker = 0; worker < wanted.size(); ++worker) {
    if (!files_.logs[worker].drained(wanted[worker])) return false;
  }
  return true;
}

bool Keeper::make_durable() {
  std::vector<std::uint64_t> wanted;
  for (const LogDrain& log : files_.logs) wanted.push_back(log.logged_position());
  const std::int64_t begin_ns = steady_ns();
  const auto in_time = [&] {
    heartbeat();
    return journal_.state() == JournalState::kWriting || steady_ns() - begin_ns < kPatienceNs;
  };
  const auto all_drained = [&] {
    for (std::size_t worker = 0; worker < wanted.size(); ++worker) {
      if (!files_.logs[worker].drained(wanted[worker])) return false;
    }
    return true;
  };
  journal_pass(kAllRecords, true);
  while (!all_drained()) {
    if (!in_time()) return false;
    journal_.wait(kNapUs * 1000);
    journal_pass(kAllRecords, true);
  }
  const std::uint64_t group = journal_.covering_group();
  while (journal_.durable_group() < group) {
    if (!in_time()) return false;
    journal_.wait(kNapUs * 1000);
    if (journal_.state() != JournalState::kWriting) usleep(kNapUs);
    journal_pass(kRecordsPerCycle, true);
  }
  return true;
}

void Keeper::show_journal() {
  const JournalState state = journal_.state();
  auto& shown = files_.durable_file.at<DurableLayout>()->state.value;
  const auto word = static_cast<std::uint64_t>(state);
  if (shown.load(std::memory_order_relaxed) != word) {
    shown.store(word, std::memory_order_release);
    counters_.journal_state.set(word);
  }
  if (journal_.problem() == journal_problem_) return;
  journal_problem_ = journal_.problem();
  if (journal_problem_.empty()) {
    say("the journal is written again");
  } else {
    complain(journal_problem_);
  }
}

/// What the logs gave and the disk has not confirmed yet.
void Keeper::show_journal_lag() {
  std::uint64_t count = 0;
  std::int64_t since_us = 0;
  for (const LogDrain& log : files_.logs) {
    count += log.unsettled_count();
    const std::int64_t oldest_us = log.unsettled_since_us();
    if (oldest_us != 0 && (since_us == 0 || oldest_us < since_us)) since_us = oldest_us;
  }
  counters_.journal_lag_events.set(count);
  const std::int64_t age_us = since_us == 0 ? 0 : wall_coarse_us() - since_us;
  counters_.journal_lag_microseconds.set(age_us > 0 ? static_cast<std::uint64_t>(age_us) : 0);
}

/// How much room there is: who looks sees a full disk come. One that can't be asked shows its last.
void Keeper::show_disk() {
  struct statvfs disk {};
  if (statvfs(files_.letters_directory.c_str(), &disk) != 0) return;
  counters_.disk_bytes.set(std::uint64_t{disk.f_blocks} * disk.f_frsize);
  counters_.free_bytes.set(std::uint64_t{disk.f_bavail} * disk.f_frsize);
}

void Keeper::show_letters() {
  letters_.tend();
  counters_.letters.add(letters_.written_count() - letters_shown_);
  letters_shown_ = letters_.written_count();
  counters_.letters_dropped.add(letters_.dropped_count() - letters_dropped_shown_);
  letters_dropped_shown_ = letters_.dropped_count();
  for (const std::string& note : letters_.take_notes()) complain(note);
  if (letters_.problem() == letters_problem_) return;
  letters_problem_ = letters_.problem();
  if (letters_problem_.empty()) {
    say("dead letters are kept again");
  } else {
    complain(letters_problem_);
  }
}

bool Keeper::logs_empty() const {
  return std::all_of(files_.logs.begin(), files_.logs.end(),
                     [](const LogDrain& log) { return log.empty(); });
}

bool Keeper::all_durable() const {
  return journal_.idle() &&
         std::all_of(files_.logs.begin(), files_.logs.end(),
                     [](const auto& log) { return log.empty() && log.settled(); });
}

}  // namespace deja
