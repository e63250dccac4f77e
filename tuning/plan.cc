#include "tuning/plan.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <utility>

namespace deja::tuning {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Writes and reads back.
void carry_out(const Tree& tree, Deed& deed) {
  const Status written = write_place(tree, deed.place, deed.to);
  if (!written) {
    deed.outcome = Outcome::kRefused;
    deed.note = std::strerror(written.error().error_number);
    return;
  }
  const Result<PlaceValue> now = read_place(tree, deed.place);
  if (now && same_value(deed.place.kind, *now, deed.to)) {
    deed.outcome = Outcome::kDone;
    return;
  }
  deed.outcome = Outcome::kRefused;
  deed.note = now ? "the kernel made it " + now->value_or("nothing") : now.error().message();
}

/// A place inside a directory that was not there before, and goes with it.
bool goes_with_its_directory(const SavedValue& value) {
  return !value.before && value.place.kind != PlaceKind::kFile &&
         value.place.kind != PlaceKind::kDirectory;
}

/// The place of a knob in the order of applying.
std::size_t rank_of(const std::string& name) {
  const std::vector<Knob>& knobs = all_knobs();
  const auto knob = std::find_if(knobs.begin(), knobs.end(),
                                 [&](const Knob& candidate) { return candidate.name == name; });
  return static_cast<std::size_t>(knob - knobs.begin());
}

bool has_all_words_of(const std::string& text, const std::string& words) {
  std::istringstream each(words);
  const std::string padded = " " + text + " ";
  for (std::string word; each >> word;) {
    if (padded.find(" " + word + " ") == std::string::npos) return false;
  }
  return true;
}

/// Whether a path that meant `saved` still means the same. Within a boot an interrupt's handlers
/// come and go with whoever uses it: a serial line has none while it is closed, a shared one gets a
/// second. Across boots the number alone says nothing.
bool is_same_device(const std::string& saved, const std::string& now, bool is_same_boot) {
  if (saved == now) return true;
  return is_same_boot && (has_all_words_of(saved, now) || has_all_words_of(now, saved));
}

/// What is saved once `write` is to be made: the first value that this place had, unless a restart
/// has reset it, which it does not with a file.
SavedValue saved_for(const Tree& tree, const std::string& knob, const Write& write,
                     const std::string& boot, const SavedValue* known) {
  SavedValue value{knob,        write.place, write.old,
                   write.value, boot,        identity_of(tree, write.place.path)};
  if (known == nullptr) return value;
  const bool is_same_boot = known->boot == boot;
  if (!is_same_device(known->identity, value.identity, is_same_boot)) return value;
  const bool is_kept = is_same_boot || write.place.kind == PlaceKind::kFile ||
                       same_value(write.place.kind, write.old, known->ours);
  if (is_kept) {
    value.before = known->before;
    value.boot = known->boot;
    // More handlers tell more of what it is.
    if (has_all_words_of(known->identity, value.identity)) value.identity = known->identity;
  }
  return value;
}

Deed give_back(const Tree& tree, const SavedValue& value, const std::string& boot) {
  Deed deed;
  deed.knob = value.knob;
  deed.place = value.place;
  deed.to = value.before;
  const bool is_other_boot = value.boot != boot;
  const Result<PlaceValue> now = read_place(tree, value.place);
  if (!now && now.error().error_number == ENOENT) {
    deed.outcome = Outcome::kGone;
    deed.note = "there is no such place any more";
    return deed;
  }
  if (now) deed.from = *now;
  if (goes_with_its_directory(value)) {
    deed.outcome = Outcome::kGone;
    deed.note = "goes with its directory";
    return deed;
  }
  if (!is_same_device(value.identity, identity_of(tree, value.place.path), !is_other_boot)) {
    deed.outcome = Outcome::kGone;
    deed.note = "was " + (value.identity.empty() ? "of no device" : value.identity) +
                ", and is another device now";
    return deed;
  }
  if (now && same_value(value.place.kind, *now, value.before)) {
    deed.outcome = Outcome::kAsItWas;
    if (is_other_boot) deed.note = "the restart has reset it";
    return deed;
  }
  carry_out(tree, deed);
  if (deed.outcome == Outcome::kDone && now && !same_value(value.place.kind, *now, value.ours)) {
    deed.note = is_other_boot ? "was neither ours nor the saved one since the restart"
                              : "somebody had changed it since";
  }
  return deed;
}

}  // namespace

bool Selection::has(const std::string& knob) const {
  return !contains(except, knob) && (only.empty() || contains(only, knob));
}

std::vector<Row> look_at_knobs(const Host& host, const Selection& selection) {
  std::vector<Row> rows;
  for (const Knob& knob : all_knobs()) {
    if (selection.has(knob.name)) rows.push_back({&knob, knob.look(host)});
  }
  return rows;
}

bool all_right(const std::vector<Row>& rows) {
  return std::none_of(rows.begin(), rows.end(), [](const Row& row) {
    return row.finding.state == KnobState::kDiffers || row.finding.state == KnobState::kUnreadable;
  });
}

bool all_done(const std::vector<Deed>& deeds) {
  return std::none_of(deeds.begin(), deeds.end(), [](const Deed& deed) {
    return deed.outcome == Outcome::kRefused && !deed.is_expected;
  });
}

Result<std::string> boot_id(const Tree& tree) {
  Result<std::string> id = tree.read_value("/proc/sys/kernel/random/boot_id");
  if (!id) return id;
  if (id->empty() || id->find_first_of("\t\n") != std::string::npos) {
    return Error{"/proc/sys/kernel/random/boot_id makes no sense", 0, "Is /proc mounted there?"};
  }
  return id;
}

std::string identity_of(const Tree& tree, const std::string& path) {
  constexpr std::string_view kIrq = "/proc/irq/";
  if (!path.starts_with(kIrq)) return {};
  const std::size_t slash = path.find('/', kIrq.size());
  if (slash == std::string::npos) return {};
  // An interrupt's handlers are its directory's directories; files in it have lower-case names that
  // are always there.
  std::string devices;
  const std::string directory = path.substr(0, slash);
  for (const std::string& name : tree.names(directory)) {
    if (!tree.is_directory(directory + "/" + name)) continue;
    devices += (devices.empty() ? "" : " ") + name;
  }
  return devices;
}

Result<std::vector<Deed>> apply_rows(const Tree& tree, const std::vector<Row>& rows,
                                     SavedValues& saved) {
  const Result<std::string> boot = boot_id(tree);
  if (!boot) return boot.error();
  std::vector<SavedValue> values = saved.values();
  bool is_any = false;
  for (const Row& row : rows) {
    for (const Write& write : row.finding.writes) {
      is_any = true;
      const auto known = std::find_if(values.begin(), values.end(), [&](const SavedValue& value) {
        return value.place.path == write.place.path;
      });
      SavedValue value =
          saved_for(tree, row.knob->name, write, *boot, known == values.end() ? nullptr : &*known);
      if (known != values.end()) {
        *known = std::move(value);
      } else {
        values.push_back(std::move(value));
      }
    }
  }
  // Reverting goes the other way, also where knobs were applied one by one.
  std::stable_sort(values.begin(), values.end(), [](const SavedValue& a, const SavedValue& b) {
    return rank_of(a.knob) < rank_of(b.knob);
  });
  std::vector<Deed> deeds;
  if (!is_any) return deeds;
  if (Status stored = saved.store(std::move(values)); !stored) return stored.error();
  for (const Row& row : rows) {
    for (const Write& write : row.finding.writes) {
      Deed deed{row.knob->name, write.place, write.old, write.value, Outcome::kDone, {}, false};
      carry_out(tree, deed);
      deed.is_expected = deed.outcome == Outcome::kRefused && write.may_be_refused;
      if (deed.is_expected) deed.note += ": the driver or the kernel has fixed it";
      deeds.push_back(std::move(deed));
    }
  }
  return deeds;
}

Result<std::vector<Deed>> revert_values(const Tree& tree, const Selection& selection,
                                        SavedValues& saved) {
  const Result<std::string> boot = boot_id(tree);
  if (!boot) return boot.error();
  std::vector<Deed> deeds;
  std::vector<SavedValue> left;
  const std::vector<SavedValue>& values = saved.values();
  for (auto value = values.rbegin(); value != values.rend(); ++value) {
    if (!selection.has(value->knob)) {
      left.push_back(*value);
      continue;
    }
    Deed deed = give_back(tree, *value, *boot);
    if (deed.outcome == Outcome::kRefused) left.push_back(*value);
    deeds.push_back(std::move(deed));
  }
  std::reverse(left.begin(), left.end());
  if (left.size() != values.size()) {
    if (Status stored = saved.store(std::move(left)); !stored) return stored.error();
  }
  return deeds;
}

}  // namespace deja::tuning
