#include "tools/dlq/letter_box.h"

#include <algorithm>
#include <utility>

#include "ingest/recognizer.h"

namespace deja {

Result<std::unique_ptr<LetterBox>> LetterBox::open(const ApplianceName& appliance,
                                                   const std::string& durability) {
  Result<Segment> opened = Segment::open(segment_path(appliance));
  std::optional<Segment> segment;
  std::string directory = durability;
  if (opened.ok()) segment.emplace(std::move(*opened));
  if (directory.empty()) {
    if (!segment) {
      return Error{"no appliance \"" + appliance.name + "\" is served in " + appliance.directory +
                       ", or it is not yours to look at",
                   0,
                   "Name another with --name and --directory, or give the config's [durability] "
                   "directory with --durability"};
    }
    directory = segment->settings().getDurabilityDirectory().cStr();
  }
  const std::string path = directory + "/" + kDeadLettersFile;
  Result<std::vector<std::uint8_t>> bytes = read_dead_letters(path);
  if (!bytes) return bytes.error();
  const DeadLetterScan scan = scan_dead_letters(*bytes);
  if (scan.state == DeadLetterScan::State::kBroken) {
    return Error{path + " is no file of dead letters, or its head is damaged", 0,
                 "The keeper sets it aside when it is started next; a copy may be whole"};
  }
  if (scan.state == DeadLetterScan::State::kNewer) {
    return Error{path + " is of a later version", 0, "Use the deja that wrote it"};
  }
  Result<ReplayedMarks> marks = ReplayedMarks::read(directory, scan.header.checksum);
  if (!marks) return marks.error();
  return std::unique_ptr<LetterBox>(
      new LetterBox(path, std::move(*bytes), std::move(*marks), std::move(segment)));
}

LetterBox::LetterBox(std::string path, std::vector<std::uint8_t> bytes, ReplayedMarks marks,
                     std::optional<Segment> segment)
    : path_(std::move(path)),
      bytes_(std::move(bytes)),
      scan_(scan_dead_letters(bytes_)),
      marks_(std::move(marks)),
      segment_(std::move(segment)) {}

const DeadLetter* LetterBox::find(std::uint64_t number) const {
  const auto found = std::ranges::find(scan_.letters, number, &DeadLetter::number);
  return found == scan_.letters.end() ? nullptr : &*found;
}

bool LetterBox::undecided(const DeadLetter& letter) const {
  return letter.head.sequence != 0 && !letter.settled && segment_ &&
         segment_->superblock().incarnation == letter.head.incarnation;
}

bool LetterBox::still_declared(const std::string& type, const std::string& name) const {
  if (!segment_) return true;
  CallType call = CallType::kTrack;
  for (const CallType known :
       {CallType::kPage, CallType::kScreen, CallType::kGroup, CallType::kIdentify}) {
    if (type == call_name(known)) call = known;
  }
  return Recognizer(segment_->catalog()).recognize(call, name) != 0;
}

}  // namespace deja
