// Keeps dead letters (dead_letter_layout.h): the keeper hands over each kDead record of a log
// before it goes on behind it. One thread, the keeper's; every call blocks until the disk has it.
//
//  1. A letter that add() has numbered is on the disk, synced: no kill and no power cut takes it.
//  2. Who dies before the log's space is given back meets the record again. It is known by its
//     place in the log of this incarnation, so a letter is kept once.
//  3. Where the disk refuses, nothing is numbered: the record stays in the log, problem() says what
//     to do, and the same call is tried again, a second later at the earliest. What a refused write
//     has left behind is cut off first.
//  4. Beyond the bound a letter is counted and not kept (dropped_count()), which problem() says
//     too: nothing that was kept ever makes way, and a flood of bad events can't fill the disk.
//  5. A file that is none of ours is set aside under another name, never written over; one that a
//     person moved away is begun anew.
//
//  6. The letter of a rejected event (RefusalReason::kRejected) costs nobody else anything. Nobody
//     was promised it, so it is written and synced with the next one, or by tend() within a second;
//     where the disk refuses or the file is half full it is dropped and counted. The other half is
//     kept for events that were taken.
//
// Crash points: letters.torn (half a frame is there: cut off at the next start), letters.written
// (whole, perhaps not synced), letters.synced (the log knows nothing of it yet), letters.settled.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shm/base/result.h"
#include "workers/dead_letters/dead_letter_scan.h"

namespace deja {

class DeadLetters {
 public:
  struct Limits {
    std::uint64_t file_bytes = kDeadLetterFileMax;
    std::int64_t retry_ns = 1'000'000'000;
    std::int64_t sync_rejected_ns = 1'000'000'000;
  };
  struct Kept {
    std::uint64_t number = 0;  ///< 0: dropped, the file is full
    bool is_new = false;       ///< false: it had been kept before
    bool settled = false;
  };

  /// `catalog` is what records are to be read with from now on. Touches no file yet.
  DeadLetters(const std::string& directory, std::uint64_t incarnation, std::string catalog);
  DeadLetters(const std::string& directory, std::uint64_t incarnation, std::string catalog,
              Limits limits);
  ~DeadLetters();
  DeadLetters(const DeadLetters&) = delete;
  DeadLetters& operator=(const DeadLetters&) = delete;

  /// Reads what is there and cuts a torn tail off; not needed, but finds out early. False:
  /// problem().
  bool open();

  /// Keeps a letter; incarnation and record_bytes are filled in. Nothing: not now (never so for a
  /// rejected event's).
  [[nodiscard]] std::optional<Kept> add(DeadLetterLayout letter,
                                        std::span<const std::uint8_t> record);
  /// The decisions about these letters are in the journal. False: not now.
  [[nodiscard]] bool settle(std::span<const std::uint64_t> numbers);

  /// To be called often: syncs rejected events' letters when it is time, and looks whether a disk
  /// that refused takes letters again.
  void tend();

  /// What a person has to do, as a sentence; empty: nothing.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// What was found and put right, once: a tail cut off, a file set aside, damage.
  [[nodiscard]] std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }
  /// Rejected events' letters are written that the disk need not have yet.
  [[nodiscard]] bool unsynced() const { return unsynced_; }
  [[nodiscard]] std::uint64_t written_count() const { return written_count_; }
  [[nodiscard]] std::uint64_t dropped_count() const { return dropped_count_; }

 private:
  enum class Synced : bool { kLater = false, kNow = true };
  using Place = std::pair<std::uint32_t, std::uint64_t>;  // worker, log position

  [[nodiscard]] bool ready();
  [[nodiscard]] bool still_there() const;
  [[nodiscard]] Status open_file();
  [[nodiscard]] Status begin_file();
  [[nodiscard]] Status set_aside(const char* why);
  [[nodiscard]] std::optional<Kept> keep(DeadLetterLayout letter,
                                         std::span<const std::uint8_t> record);
  [[nodiscard]] std::vector<std::uint8_t> frames_of(const DeadLetterLayout& letter,
                                                    std::span<const std::uint8_t> record) const;
  Kept drop(const Place& place, bool rejected);
  [[nodiscard]] Status append(std::span<const std::uint8_t> bytes, Synced synced = Synced::kNow);
  [[nodiscard]] Status sync();
  void note_known(const DeadLetterScan& scan);
  void add_frame(std::vector<std::uint8_t>& bytes, DeadLetterFrameKind kind, std::uint64_t number,
                 std::span<const std::uint8_t> payload) const;
  void failed(const Error& error);
  void close_file();

  std::string directory_;
  std::string path_;
  std::uint64_t incarnation_;
  std::string catalog_;
  Limits limits_;
  int descriptor_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  DeadLetterHeaderLayout header_{};
  bool catalog_there_ = false;
  std::uint64_t end_ = 0;  // of what is synced, and of rejected events' letters behind it
  bool unsynced_ = false;  // … there are such
  std::int64_t synced_at_ns_ = 0;
  bool half_full_said_ = false;
  std::uint64_t last_number_ = 0;
  std::map<Place, Kept> known_;  // of this incarnation
  std::int64_t retry_at_ns_ = 0;
  std::uint64_t written_count_ = 0;
  std::uint64_t dropped_count_ = 0;
  std::string problem_;
  std::vector<std::string> notes_;
};

}  // namespace deja
