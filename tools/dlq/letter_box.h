// The dead letters of one appliance as the verbs need them: the keeper's file, the marks beside it,
// and what of the served segment matters. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/segment.h"
#include "tools/dlq/replayed_marks.h"
#include "tools/inspect/open_appliance.h"
#include "workers/dead_letters/dead_letter_scan.h"

namespace deja {

class LetterBox {
 public:
  /// `durability` empty: the directory of the appliance that is served on this host.
  [[nodiscard]] static Result<std::unique_ptr<LetterBox>> open(const ApplianceName& appliance,
                                                               const std::string& durability);

  [[nodiscard]] const DeadLetterScan& scan() const { return scan_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const DeadLetter* find(std::uint64_t number) const;
  [[nodiscard]] ReplayedMarks& marks() { return marks_; }

  /// A decision that the keeper has not yet seen in the journal: which id is right is not known.
  [[nodiscard]] bool undecided(const DeadLetter& letter) const;
  /// False: the served appliance, where there is one, declares no event of that call and name.
  [[nodiscard]] bool still_declared(const std::string& type, const std::string& name) const;

 private:
  LetterBox(std::string path, std::vector<std::uint8_t> bytes, ReplayedMarks marks,
            std::optional<Segment> segment);

  std::string path_;
  std::vector<std::uint8_t> bytes_;
  DeadLetterScan scan_;  // views bytes_
  ReplayedMarks marks_;
  std::optional<Segment> segment_;
};

}  // namespace deja
