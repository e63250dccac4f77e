#include "tools/bench/bench_table.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "shm/base/clock.h"
#include "shm/deja.h"

namespace deja {
namespace {

constexpr std::size_t kPage = 64;
// Work is timed in pieces that end before the scheduler takes the core away, and the median of the
// pieces is told: so others at work on the host make fewer of them, and not each of them slower.
constexpr std::size_t kReadsInPiece = 16 * kPage;
constexpr std::size_t kEventsInPiece = 2048;

/// Events of these users; `each(events, ns)` for each piece.
template <typename Each>
Status send(ScratchAppliance& appliance, const std::vector<std::uint64_t>& users, Each&& each) {
  for (std::size_t at = 0; at < users.size();) {
    std::size_t count = 0;
    while (count < kEventsInPiece && at + count < users.size() &&
           appliance.put(users[at + count])) {
      ++count;
    }
    if (count == 0) return Error{"the ring stays full", 0, "This is a fault of Deja's."};
    const Result<std::int64_t> spent_ns = appliance.run();
    if (!spent_ns.ok()) return spent_ns.error();
    each(count, *spent_ns);
    at += count;
  }
  return Done{};
}

/// Keys of users drawn at random, and where their copies go.
class Reads {
 public:
  Reads(const deja_appliance* appliance, std::uint64_t users, std::size_t pieces)
      : appliance_(appliance),
        names_(pieces * kReadsInPiece),
        page_(deja_profile_bytes(appliance) / sizeof(std::uint64_t) * kPage) {
    std::mt19937_64 random(2);
    for (std::string& name : names_) {
      name = ScratchAppliance::user_name(random() % users);
      keys_.push_back(deja_user(name.data(), static_cast<std::uint32_t>(name.size())));
    }
  }

  // One piece each: nanoseconds of one profile.

  double independent() {
    const deja_key* keys = next_piece();
    const std::int64_t begin_ns = steady_ns();
    for (std::size_t at = 0; at < kReadsInPiece; ++at) {
      note(deja_get(appliance_, keys[at], profile()));
    }
    return each(begin_ns);
  }
  double serialised() {
    const deja_key* keys = next_piece();
    const std::int64_t begin_ns = steady_ns();
    for (std::size_t at = 0; at < kReadsInPiece;) {
      note(deja_get(appliance_, keys[at], profile()));
      // 0, which the processor can't know before the copy is there.
      at += 1 + (deja_sequence(profile()) >> 63U);
    }
    return each(begin_ns);
  }
  double paged() {
    const deja_key* keys = next_piece();
    deja_status statuses[kPage];
    const std::int64_t begin_ns = steady_ns();
    for (std::size_t at = 0; at < kReadsInPiece; at += kPage) {
      note(deja_get_many(appliance_, keys + at, kPage, profile(), statuses));
      for (const deja_status status : statuses) note(status);
    }
    return each(begin_ns);
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  [[nodiscard]] deja_profile* profile() { return reinterpret_cast<deja_profile*>(page_.data()); }
  void note(deja_status status) { failed_ |= status != DEJA_OK; }
  [[nodiscard]] static double each(std::int64_t begin_ns) {
    return static_cast<double>(steady_ns() - begin_ns) / kReadsInPiece;
  }
  const deja_key* next_piece() {
    next_ = (next_ + kReadsInPiece) % keys_.size();
    return &keys_[next_];
  }

  const deja_appliance* appliance_;
  std::vector<std::string> names_;
  std::vector<deja_key> keys_;
  std::vector<std::uint64_t> page_;
  std::size_t next_ = 0;
  bool failed_ = false;
};

}  // namespace

Status fill_table(ScratchAppliance& appliance) {
  std::vector<std::uint64_t> users(appliance.profiles());
  for (std::size_t user = 0; user < users.size(); ++user) users[user] = user;
  return send(appliance, users, [](std::size_t, std::int64_t) {});
}

Status measure_worker(ScratchAppliance& appliance, bool quick, BenchFindings& into) {
  std::vector<std::uint64_t> users(quick ? 2 * kEventsInPiece : 1'000'000);
  std::mt19937_64 random(1);
  for (std::uint64_t& user : users) user = random() % appliance.profiles();
  std::vector<double> million_per_s;
  const Status sent = send(appliance, users, [&](std::size_t events, std::int64_t spent_ns) {
    million_per_s.push_back(1e3 * static_cast<double>(events) / static_cast<double>(spent_ns));
  });
  if (!sent.ok()) return sent.error();
  into.measured.push_back(
      {"worker_rate",
       "a worker applies",
       "M/s",
       median(million_per_s),
       {},
       "Events a second that one worker brings into profiles of 20 features, each user equally "
       "likely; popular users are cheaper. What arrives beyond that waits in the rings: give it "
       "another core ([cpu] workers)."});
  return Done{};
}

Status measure_reads(const ScratchAppliance& appliance, bool quick, BenchFindings& into) {
  const int pieces = quick ? 2 : 1000;
  Reads reads(appliance.reader(), appliance.profiles(), quick ? 2 : 150);
  std::vector<double> independent_ns;
  std::vector<double> serialised_ns;
  std::vector<double> paged_ns;
  for (int piece = 0; piece < pieces; ++piece) {
    independent_ns.push_back(reads.independent());
    serialised_ns.push_back(reads.serialised());
    paged_ns.push_back(reads.paged());
  }
  if (reads.failed()) return Error{"a profile could not be read", 0, "This is a fault of Deja's."};
  into.measured.push_back(
      {"read_independent",
       "read a profile",
       "ns",
       median(independent_ns),
       {},
       "One user after the other, none waiting for the one before: what a renderer pays that knows "
       "whom it will ask. The profile's bytes come from memory, since each user is equally likely; "
       "one who was just read costs a third."});
  into.measured.push_back({"read_serialised",
                           "read a profile, then the next",
                           "ns",
                           median(serialised_ns),
                           {},
                           "Whom to read is known only once the one before is there: three trips "
                           "to memory in a row, so "
                           "this is what the memory's latency makes of it."});
  into.measured.push_back({"read_page_of_64",
                           "read a profile in a page of 64",
                           "ns",
                           median(paged_ns),
                           {},
                           "deja_get_many: the trips to memory of 64 users overlap. Half of a "
                           "single read or less where "
                           "the table is larger than the caches; where it is not, use deja_get."});
  return Done{};
}

}  // namespace deja
