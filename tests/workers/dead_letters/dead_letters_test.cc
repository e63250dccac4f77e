// The file of dead letters: what is kept is there whatever happens, once, and what is not ours is
// never believed.
#include "workers/dead_letters/dead_letters.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "shm/base/crash_point.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr std::uint64_t kIncarnation = 77;

class DeadLettersTest : public testing::Test {
 protected:
  DeadLettersTest() {
    char path[] = "/tmp/deja-letters-XXXXXX";
    if (mkdtemp(path) != nullptr) directory_ = path;
    path_ = directory_ + "/" + kDeadLettersFile;
  }
  ~DeadLettersTest() override { std::filesystem::remove_all(directory_); }

  static DeadLetters::Limits quick() {
    DeadLetters::Limits limits;
    limits.retry_ns = 0;
    return limits;
  }
  [[nodiscard]] DeadLetters letters(std::uint64_t incarnation = kIncarnation,
                                    const std::string& catalog = "the catalog") const {
    return {directory_, incarnation, catalog, quick()};
  }
  static DeadLetterLayout letter(std::uint64_t log_position, std::uint64_t sequence = 0) {
    DeadLetterLayout made{};
    made.consumed_us = 1'700'000'000'000'000;
    made.log_position = log_position;
    made.ring_position = log_position + 1000;
    made.sequence = sequence;
    made.worker = 2;
    made.ring = 1;
    made.reason = RefusalReason::kPoison;
    return made;
  }
  static std::span<const std::uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  }
  static std::string text_of(std::span<const std::uint8_t> bytes) {
    return {bytes.begin(), bytes.end()};
  }
  void keep(DeadLetters& into, std::uint64_t log_position, const std::string& record) {
    const auto kept = into.add(letter(log_position), bytes_of(record));
    ASSERT_TRUE(kept) << into.problem();
    ASSERT_TRUE(kept->is_new);
  }
  DeadLetterScan scan() {
    auto bytes = read_dead_letters(path_);
    EXPECT_TRUE(bytes.ok());
    bytes_ = bytes.ok() ? std::move(*bytes) : std::vector<std::uint8_t>();
    return scan_dead_letters(bytes_);
  }
  [[nodiscard]] std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& content) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }

  std::string directory_;
  std::string path_;
  std::vector<std::uint8_t> bytes_;
};

TEST_F(DeadLettersTest, WhatIsKeptIsThere) {
  DeadLetters kept = letters();
  keep(kept, 64, "first");
  keep(kept, 128, "second one");
  EXPECT_EQ(kept.written_count(), 2U);
  const DeadLetterScan found = scan();
  EXPECT_EQ(found.state, DeadLetterScan::State::kGood);
  ASSERT_EQ(found.letters.size(), 2U);
  EXPECT_EQ(found.letters[0].number, 1U);
  EXPECT_EQ(text_of(found.letters[0].record), "first");
  EXPECT_EQ(found.letters[1].number, 2U);
  EXPECT_EQ(text_of(found.letters[1].record), "second one");
  EXPECT_EQ(found.letters[1].head.incarnation, kIncarnation);
  EXPECT_EQ(found.letters[1].head.ring_position, 1128U);
  EXPECT_EQ(found.letters[1].head.record_bytes, 10U);
  EXPECT_EQ(found.letters[1].head.reason, RefusalReason::kPoison);
  ASSERT_EQ(found.catalogs.size(), 1U) << "written once";
  EXPECT_EQ(found.letters[1].catalog, 0U);
  EXPECT_TRUE(found.damages.empty());
  EXPECT_EQ(found.tail_bytes, 0U);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U) << "it holds personal data";
}

TEST_F(DeadLettersTest, ARecordThatIsMetAgainIsKeptOnce) {
  {
    DeadLetters kept = letters();
    keep(kept, 64, "first");
    const auto again = kept.add(letter(64), bytes_of("first"));
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->is_new);
  }
  DeadLetters next = letters();
  const auto again = next.add(letter(64), bytes_of("first"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_new);
  EXPECT_EQ(again->number, 1U);
  EXPECT_EQ(next.written_count(), 0U);
  EXPECT_EQ(scan().letters.size(), 1U);
  // The same place of another segment is another record.
  DeadLetters other = letters(kIncarnation + 1);
  keep(other, 64, "another");
  ASSERT_EQ(scan().letters.size(), 2U);
}

TEST_F(DeadLettersTest, ADecisionIsSettledOnce) {
  {
    DeadLetters kept = letters();
    ASSERT_TRUE(kept.add(letter(64, 17), bytes_of("decided")));
    keep(kept, 128, "other");
    EXPECT_FALSE(scan().letters[0].settled);
    const std::uint64_t numbers[] = {1};
    ASSERT_TRUE(kept.settle(numbers));
  }
  const DeadLetterScan found = scan();
  EXPECT_TRUE(found.letters[0].settled);
  EXPECT_FALSE(found.letters[1].settled);
  DeadLetters next = letters();
  EXPECT_TRUE(next.add(letter(64, 17), bytes_of("decided"))->settled);
}

TEST_F(DeadLettersTest, AChangedConfigsLettersNameItsCatalog) {
  {
    DeadLetters kept = letters();
    keep(kept, 64, "first");
  }
  DeadLetters changed = letters(kIncarnation + 1, "another catalog");
  keep(changed, 64, "second");
  const DeadLetterScan found = scan();
  ASSERT_EQ(found.catalogs.size(), 2U);
  EXPECT_EQ(text_of(found.catalogs[found.letters[0].catalog]), "the catalog");
  EXPECT_EQ(text_of(found.catalogs[found.letters[1].catalog]), "another catalog");
}

TEST_F(DeadLettersTest, ATornTailIsCutWhereverItWasTorn) {
  {
    DeadLetters kept = letters();
    keep(kept, 64, "first");
    keep(kept, 128, "the second, which is torn");
  }
  const std::string whole = content();
  const std::uint64_t first_end =
      whole.size() - dead_letter_frame_bytes(sizeof(DeadLetterLayout) + 25);
  for (std::uint64_t size = first_end; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    DeadLetters next = letters();
    ASSERT_TRUE(next.open()) << next.problem();
    EXPECT_EQ(content().size(), first_end) << size;
    EXPECT_EQ(next.take_notes().size(), size == first_end ? 0U : 1U) << size;
    keep(next, 128, "again");
    const DeadLetterScan found = scan();
    ASSERT_EQ(found.letters.size(), 2U) << size;
    EXPECT_EQ(found.letters[1].number, 2U);
    EXPECT_EQ(text_of(found.letters[1].record), "again");
    EXPECT_TRUE(found.damages.empty());
  }
}

TEST_F(DeadLettersTest, ATornHeaderIsBegunAnew) {
  for (std::size_t size = 0; size < sizeof(DeadLetterHeaderLayout); size += 5) {
    write(std::string(size, 'x'));
    DeadLetters next = letters();
    keep(next, 64, "first");
    EXPECT_EQ(scan().letters.size(), 1U);
  }
}

TEST_F(DeadLettersTest, AnyFlippedBitLosesOneLetterAtMostAndIsNamed) {
  {
    DeadLetters kept = letters();
    for (std::uint64_t at = 1; at <= 4; ++at) keep(kept, at * 64, "letter " + std::to_string(at));
  }
  const std::string whole = content();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(static_cast<unsigned char>(flipped[at]) ^ (1U << bit));
      const DeadLetterScan found = scan_dead_letters(bytes_of(flipped));
      if (at < sizeof(DeadLetterHeaderLayout)) {
        EXPECT_NE(found.state, DeadLetterScan::State::kGood) << at;
        continue;
      }
      std::size_t right = 0;
      for (const DeadLetter& letter : found.letters) {
        right += text_of(letter.record) == "letter " + std::to_string(letter.number) ? 1U : 0U;
      }
      EXPECT_EQ(right, found.letters.size()) << "nothing wrong is ever shown";
      EXPECT_GE(found.letters.size(), 3U) << at;
      const bool padding = found.letters.size() == 4 && found.damages.empty();
      const bool catalog_lost = found.letters.size() == 4 && found.catalogs.empty();
      EXPECT_TRUE(padding || catalog_lost || !found.damages.empty() || found.tail_bytes != 0) << at;
    }
  }
}

TEST_F(DeadLettersTest, ADoubledFrameIsOneLetter) {
  {
    DeadLetters kept = letters();
    keep(kept, 64, "first");
    keep(kept, 128, "other");
  }
  const std::string whole = content();
  const std::size_t frame = dead_letter_frame_bytes(sizeof(DeadLetterLayout) + 5);
  write(whole + whole.substr(whole.size() - frame));
  DeadLetterScan found = scan();
  EXPECT_EQ(found.letters.size(), 2U);
  ASSERT_EQ(found.damages.size(), 1U);
  EXPECT_EQ(found.damages[0], "letter 2 is there twice");
  DeadLetters next = letters();
  keep(next, 192, "third");
  EXPECT_EQ(scan().letters.back().number, 3U);
}

TEST_F(DeadLettersTest, AFrameInsideAnEventIsNoFrame) {
  // Somebody sends the bytes of a whole frame of a file of their own.
  {
    DeadLetters kept = letters();
    keep(kept, 64, "forged");
  }
  const std::string forged = content();
  std::filesystem::remove(path_);
  DeadLetters kept = letters();
  keep(kept, 64, forged);
  keep(kept, 128, "honest");
  std::string flipped = content();
  flipped[sizeof(DeadLetterHeaderLayout) + dead_letter_frame_bytes(11) + 4] ^= 0x40;
  const DeadLetterScan found = scan_dead_letters(bytes_of(flipped));
  ASSERT_EQ(found.letters.size(), 1U);
  EXPECT_EQ(text_of(found.letters[0].record), "honest");
}

TEST_F(DeadLettersTest, HostileBytesAreSurvived) {
  std::mt19937_64 random(test_seed());
  {
    DeadLetters kept = letters();
    for (std::uint64_t at = 1; at <= 8; ++at) keep(kept, at * 64, std::string(at * 13, 'x'));
  }
  const std::string whole = content();
  for (int round = 0; round < 3000; ++round) {
    std::string hostile = whole;
    const std::uint64_t changes = 1 + random() % 20;
    for (std::uint64_t change = 0; change < changes; ++change) {
      hostile[random() % hostile.size()] = static_cast<char>(random());
    }
    if (random() % 2 == 0) hostile.resize(random() % hostile.size());
    const DeadLetterScan found = scan_dead_letters(bytes_of(hostile));
    EXPECT_LE(found.letters.size(), 8U);
    EXPECT_LE(found.good_end, hostile.size());
  }
}

TEST_F(DeadLettersTest, WhatIsNotOursIsSetAside) {
  const std::string poem = "Shall I compare thee to a summer's day? Thou art more lovely";
  write(poem);
  DeadLetters kept = letters();
  keep(kept, 64, "first");
  EXPECT_EQ(kept.take_notes().size(), 1U);
  EXPECT_EQ(scan().letters.size(), 1U);
  std::size_t aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    if (entry.path().extension() != ".aside") continue;
    ++aside;
    std::ifstream file(entry.path());
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), poem);
  }
  EXPECT_EQ(aside, 1U);
}

TEST_F(DeadLettersTest, ALaterVersionsFileIsSetAsideToo) {
  { keep(*std::make_unique<DeadLetters>(directory_, kIncarnation, "c", quick()), 64, "first"); }
  std::string newer = content();
  newer[8] = 2;
  EXPECT_EQ(scan_dead_letters(bytes_of(newer)).state, DeadLetterScan::State::kNewer);
  write(newer);
  DeadLetters kept = letters();
  keep(kept, 64, "again");
  EXPECT_EQ(scan().letters.size(), 1U);
}

TEST_F(DeadLettersTest, BeyondTheBoundALetterIsCountedAndSaid) {
  DeadLetters::Limits small = quick();
  small.file_bytes = 400;
  DeadLetters kept(directory_, kIncarnation, "c", small);
  std::uint64_t at = 0;
  while (kept.dropped_count() == 0 && ++at < 100) {
    ASSERT_TRUE(kept.add(letter(at * 64), bytes_of("some bytes"))) << "never held up";
  }
  EXPECT_LT(at, 100U);
  EXPECT_LE(content().size(), 400U);
  EXPECT_EQ(scan().letters.size(), at - 1) << "what is kept stays";
  EXPECT_NE(kept.problem().find("is full"), std::string::npos);
  EXPECT_NE(kept.problem().find("move the file away"), std::string::npos);
  ASSERT_TRUE(kept.add(letter(at * 64), bytes_of("some bytes")));
  EXPECT_EQ(kept.dropped_count(), 1U) << "met again, counted once";
  // Done as told: the next letter begins a new file.
  std::filesystem::rename(path_, path_ + ".looked-at");
  keep(kept, 9999, "after");
  EXPECT_EQ(kept.problem(), "");
  EXPECT_EQ(scan().letters.size(), 1U);
}

TEST_F(DeadLettersTest, ARefusedWriteKeepsNothingAndIsTriedAgain) {
  DeadLetters kept = letters();
  keep(kept, 64, "first");
  const std::string before = content();
  // The disk takes a part of the next letter and no more.
  rlimit was{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &was), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit now = was;
  now.rlim_cur = before.size() + 70;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &now), 0);
  const auto refused = kept.add(letter(128), bytes_of("second"));
  const std::string problem = kept.problem();
  const std::string left = content();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &was), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(refused);
  EXPECT_EQ(left, before) << "what it left behind is cut off";
  EXPECT_NE(problem.find("a dead letter can't be kept: write " + path_), std::string::npos);
  EXPECT_NE(problem.find("waits in the log"), std::string::npos);
  keep(kept, 128, "second");
  EXPECT_EQ(kept.problem(), "");
  const DeadLetterScan found = scan();
  ASSERT_EQ(found.letters.size(), 2U);
  EXPECT_TRUE(found.damages.empty());
}

TEST_F(DeadLettersTest, AnythingElseOfThatNameHoldsTheLetterBack) {
  std::filesystem::create_directory(path_);
  DeadLetters kept = letters();
  EXPECT_FALSE(kept.add(letter(64), bytes_of("first")));
  EXPECT_NE(kept.problem(), "");
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(kept.add(letter(64), bytes_of("first")));
  std::filesystem::remove(path_);
  keep(kept, 64, "first");
}

TEST_F(DeadLettersTest, AHugeRecordIsCutAndSaysSo) {
  DeadLetters kept = letters();
  const std::string huge(kDeadLetterPayloadMax + 5, 'x');
  keep(kept, 64, huge);
  const DeadLetterScan found = scan();
  ASSERT_EQ(found.letters.size(), 1U);
  EXPECT_EQ(found.letters[0].head.record_bytes, huge.size());
  EXPECT_EQ(found.letters[0].record.size(), kDeadLetterPayloadMax - sizeof(DeadLetterLayout));
}

/// Killed at a named point within keeping or settling: the letter is there once.
class DeadLettersKilled : public DeadLettersTest,
                          public testing::WithParamInterface<const char*> {};

TEST_P(DeadLettersKilled, HasEveryLetterOnce) {
  {
    DeadLetters kept = letters();
    keep(kept, 64, "first");
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  const std::uint64_t numbers[] = {2};
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CrashPoints::arm(GetParam(), 0);
    DeadLetters kept = letters();
    if (kept.add(letter(128, 5), bytes_of("second")) && kept.settle(numbers)) _exit(0);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the point was never reached";
  DeadLetters next = letters();
  const auto kept = next.add(letter(128, 5), bytes_of("second"));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->is_new, std::string(GetParam()) == "letters.torn");
  EXPECT_EQ(kept->settled, std::string(GetParam()) == "letters.settled");
  if (!kept->settled) {
    EXPECT_TRUE(next.settle(numbers));
  }
  const DeadLetterScan found = scan();
  ASSERT_EQ(found.letters.size(), 2U);
  EXPECT_EQ(text_of(found.letters[1].record), "second");
  EXPECT_TRUE(found.letters[1].settled);
  EXPECT_TRUE(found.damages.empty());
}

INSTANTIATE_TEST_SUITE_P(At, DeadLettersKilled,
                         testing::Values("letters.torn", "letters.written", "letters.synced",
                                         "letters.settled"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "letters." - 1);
                         });

// --- of rejected events -------------------------------------------------------------------------

class RejectedLetters : public DeadLettersTest {
 protected:
  static DeadLetterLayout rejected(std::uint64_t log_position) {
    DeadLetterLayout made = letter(log_position);
    made.reason = RefusalReason::kRejected;
    return made;
  }
  static bool keep_rejected(DeadLetters& into, std::uint64_t log_position,
                            const std::string& record) {
    const auto kept = into.add(rejected(log_position), bytes_of(record));
    EXPECT_TRUE(kept) << "nothing waits for it";
    return kept && kept->number != 0;
  }
};

TEST_F(RejectedLetters, AreKeptOnceAndFoundByTheNextKeeper) {
  {
    DeadLetters first = letters();
    EXPECT_TRUE(keep_rejected(first, 8, "text"));
    EXPECT_TRUE(keep_rejected(first, 8, "text")) << "known by its place";
    keep(first, 16, "taken");
    EXPECT_EQ(first.written_count(), 2U);
  }
  DeadLetters next = letters();
  EXPECT_TRUE(keep_rejected(next, 8, "text"));
  EXPECT_EQ(next.written_count(), 0U);
  const DeadLetterScan found = scan();
  ASSERT_EQ(found.letters.size(), 2U);
  EXPECT_EQ(found.letters[0].head.reason, RefusalReason::kRejected);
  EXPECT_EQ(text_of(found.letters[0].record), "text");
}

TEST_F(RejectedLetters, LeaveHalfOfTheFileForEventsThatWereTaken) {
  DeadLetters::Limits limits = quick();
  limits.file_bytes = 4096;
  DeadLetters into(directory_, kIncarnation, "c", limits);
  std::uint64_t kept = 0;
  for (std::uint64_t at = 0; at < 40; ++at) {
    kept += keep_rejected(into, 8 * at, std::string(100, 'x')) ? 1 : 0;
  }
  EXPECT_GT(kept, 5U);
  EXPECT_LE(content().size(), 2048U);
  EXPECT_EQ(into.dropped_count(), 40 - kept);
  EXPECT_EQ(into.problem(), "") << "nothing waits, so the keeper need not nap";
  const std::vector<std::string> notes = into.take_notes();
  ASSERT_EQ(notes.size(), 1U) << "said once";
  EXPECT_NE(notes[0].find("is half full"), std::string::npos);
  for (std::uint64_t at = 100; at < 105; ++at) keep(into, 8 * at, std::string(100, 'y'));
  EXPECT_GT(content().size(), 2048U);
}

TEST_F(RejectedLetters, AreDroppedAndCountedWhereTheDiskRefuses) {
  std::filesystem::create_directory(path_);
  DeadLetters into = letters();
  EXPECT_FALSE(keep_rejected(into, 8, "text"));
  EXPECT_EQ(into.dropped_count(), 1U);
  EXPECT_FALSE(into.add(letter(16), bytes_of("taken"))) << "this one waits";
  std::filesystem::remove(path_);
  into.tend();
  EXPECT_EQ(into.problem(), "") << "found out without a letter";
  EXPECT_TRUE(keep_rejected(into, 24, "text"));
  EXPECT_TRUE(into.add(letter(16), bytes_of("taken")));
  EXPECT_EQ(into.dropped_count(), 1U);
}

TEST_F(RejectedLetters, AreSyncedTogetherAfterAWhile) {
  DeadLetters::Limits limits = quick();
  limits.sync_rejected_ns = 0;
  DeadLetters at_once(directory_, kIncarnation, "c", limits);
  EXPECT_TRUE(keep_rejected(at_once, 8, "one"));
  EXPECT_EQ(at_once.unsynced(), true);
  at_once.tend();
  EXPECT_EQ(at_once.unsynced(), false);
  EXPECT_TRUE(keep_rejected(at_once, 16, "two"));
  keep(at_once, 24, "three");
  EXPECT_EQ(at_once.unsynced(), false) << "with the next that is synced";
  limits.sync_rejected_ns = std::int64_t{3600} * 1'000'000'000;
  DeadLetters later(directory_, kIncarnation, "c", limits);
  keep(later, 32, "four");
  EXPECT_TRUE(keep_rejected(later, 40, "five"));
  later.tend();
  EXPECT_EQ(later.unsynced(), true) << "not yet";
}

}  // namespace
}  // namespace deja
