#include "workers/worker_attempts.h"

#include <signal.h>
#include <unistd.h>

#include "shm/base/crash_point.h"

namespace deja {
namespace {

/// In place of a signal: it was killed since it hung.
constexpr std::uint64_t kCauseHung = 128;
constexpr unsigned kStrikeShift = 8;

/// What the fault handler writes to: the entry that the thread is at.
constinit thread_local std::atomic<AttemptLayout*> entry_at_hand{nullptr};

/// The cause of a death at this entry's record: what, and which strike that makes.
std::uint64_t next_cause(const AttemptLayout& entry, std::uint64_t what) {
  const bool again = entry.struck.load(std::memory_order_relaxed) ==
                     entry.position.load(std::memory_order_relaxed);
  const std::uint64_t strikes = again ? entry.strikes.load(std::memory_order_relaxed) : 0;
  return ((strikes + 1) << kStrikeShift) | what;
}

void on_fault(int signal, siginfo_t* info, void*) {
  AttemptLayout* entry = entry_at_hand.load(std::memory_order_relaxed);
  // A stranger's signal says nothing about the record.
  const bool own = info->si_code > 0 || info->si_pid == getpid();
  if (entry != nullptr && own) {
    entry->cause.store(next_cause(*entry, static_cast<std::uint64_t>(signal)),
                       std::memory_order_release);
  }
  raise(signal);  // its action is the default one again
}

}  // namespace

Attempts::Attempts(AttemptLayout* entries, std::uint32_t ring_count)
    : entries_(entries), ring_count_(ring_count) {}

void Attempts::settle(bool predecessor_hung) {
  poisoned_.assign(ring_count_ + 1, kNone);
  for (std::uint32_t at = 0; at <= ring_count_; ++at) {
    AttemptLayout& entry = entries_[at];
    const std::uint64_t position = entry.position.load(std::memory_order_relaxed);
    std::uint64_t cause = entry.cause.load(std::memory_order_relaxed);
    if (predecessor_hung && cause == 0 && position != 0) {
      cause = next_cause(entry, kCauseHung);
      entry.cause.store(cause, std::memory_order_release);
    }
    if (cause != 0 && position != 0) {
      entry.strikes.store(cause >> kStrikeShift, std::memory_order_release);
      entry.struck.store(position, std::memory_order_release);
      CRASH_POINT("worker.after_strike");
    }
    entry.cause.store(0, std::memory_order_release);
    entry.position.store(0, std::memory_order_release);
    const std::uint64_t struck = entry.struck.load(std::memory_order_relaxed);
    if (struck != 0 && entry.strikes.load(std::memory_order_relaxed) >= kStrikesMax) {
      poisoned_[at] = struck - 1;
    }
  }
}

void Attempts::at(AttemptLayout& entry, std::uint64_t position) {
  entry.position.store(position + 1, std::memory_order_relaxed);
  if (at_hand_ != &entry) {
    at_hand_ = &entry;
    entry_at_hand.store(&entry, std::memory_order_relaxed);
  }
  // A handler in this thread, and whoever finds the file when the thread is dead, sees these stores
  // before anything that the record does.
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void Attempts::nowhere() {
  if (at_hand_ == nullptr) return;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  entry_at_hand.store(nullptr, std::memory_order_relaxed);
  at_hand_->position.store(0, std::memory_order_relaxed);
  at_hand_ = nullptr;
}

void install_fault_handler() {
  alignas(16) static char stack_memory[32 * 1024];
  stack_t stack{};
  stack.ss_sp = stack_memory;
  stack.ss_size = sizeof stack_memory;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER);
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace deja
