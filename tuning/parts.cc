#include "tuning/parts.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace deja::tuning {
namespace {

constexpr std::size_t kNamedMax = 4;
constexpr std::size_t kShownBytesMax = 48;

std::string shown(const std::string& value) {
  if (value.empty()) return "nothing";
  return value.size() <= kShownBytesMax ? value : value.substr(0, kShownBytesMax) + "…";
}

/// What was found, each value once, with the labels that have it.
class Found {
 public:
  void add(const std::string& label, const std::string& value) {
    for (auto& [known, labels] : values_) {
      if (known != value) continue;
      labels.push_back(label);
      return;
    }
    values_.push_back({value, {label}});
  }

  [[nodiscard]] std::string text() const {
    if (values_.size() == 1) return shown(values_.front().first);
    std::string all;
    for (const auto& [value, labels] : values_) {
      if (!all.empty()) all += "; ";
      all += shown(value) + ": " + some_of(labels);
    }
    return all;
  }

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> values_;
};

}  // namespace

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t at = 0; at < names.size(); ++at) {
    if (at == kNamedMax && names.size() > kNamedMax + 1) {
      return text + " and " + std::to_string(names.size() - at) + " more";
    }
    text += (at == 0 ? "" : ", ") + names[at];
  }
  return text;
}

Finding look_at_parts(const Host& host, std::string want, const std::string& absent,
                      const std::vector<Part>& parts) {
  Finding finding;
  finding.want = std::move(want);
  Found found;
  bool is_any = false;
  bool is_wrong = false;
  std::vector<std::string> unreadable;
  std::vector<std::string> fixed;
  for (const Part& part : parts) {
    const Result<PlaceValue> read = read_place(*host.tree, part.place);
    const std::string& name = part.label.empty() ? part.place.path : part.label;
    if (!read) {
      if (read.error().error_number == ENOENT) continue;
      is_any = true;
      unreadable.push_back(name + " (" + std::strerror(read.error().error_number) + ")");
      continue;
    }
    is_any = true;
    const std::string& value = **read;
    const Verdict verdict = part.judge(value);
    found.add(part.label, value);
    if (verdict == Verdict::kGarbage) unreadable.push_back(name + " has \"" + shown(value) + "\"");
    if (verdict != Verdict::kWrong) continue;
    is_wrong = true;
    if (host.tree->is_fixed(part.place.path)) {
      fixed.push_back(name);
      continue;
    }
    finding.writes.push_back({part.place, value, part.right_value(value), part.may_be_refused});
  }
  if (!is_any) {
    finding.state = KnobState::kAbsent;
    finding.note = absent;
    return finding;
  }
  finding.have = found.text();
  if (!unreadable.empty()) {
    finding.state = KnobState::kUnreadable;
    finding.note = "can't be understood: " + some_of(unreadable);
    return finding;
  }
  if (is_wrong) finding.state = KnobState::kDiffers;
  if (!fixed.empty()) {
    finding.note = "read-only here: " + some_of(fixed) + "; set it outside of the container or VM";
  }
  return finding;
}

Finding not_asked(std::string why) {
  Finding finding;
  finding.state = KnobState::kNotAsked;
  finding.note = std::move(why);
  return finding;
}

std::optional<Finding> no_cores(const Host& host) {
  if (host.appliance.empty()) {
    return not_asked(host.target.has_config
                         ? "[cpu] pins nothing: name cores, as in workers = [4, 5]"
                         : "needs -c CONFIG, whose [cpu] names cores");
  }
  if (host.housekeeping.empty()) {
    return not_asked("[cpu] takes every core: nothing is left to move the rest of the host to");
  }
  return std::nullopt;
}

}  // namespace deja::tuning
