#include "tools/tune/tune.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "shm/nearest_name.h"
#include "tools/tune/tune_output.h"
#include "tools/tune/tune_target.h"

namespace deja {
namespace {

using tuning::Deed;
using tuning::Host;
using tuning::Knob;
using tuning::Row;
using tuning::SavedValues;
using tuning::Tree;

constexpr int kDone = 0;
constexpr int kNotSo = 1;
constexpr int kMisuse = 2;

int complain(const Error& error) {
  std::cerr << "deja: " << error.message() << "\n";
  return kNotSo;
}

std::vector<std::string> knob_names() {
  std::vector<std::string> names;
  for (const Knob& knob : tuning::all_knobs()) names.push_back(knob.name);
  return names;
}

/// Every knob that was named exists.
bool are_known(const std::vector<std::string>& names) {
  const std::vector<std::string> known = knob_names();
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::cerr << "deja: there is no knob \"" << name << "\"" << did_you_mean(name, known)
              << " (deja tune check lists them all)\n";
    return false;
  }
  return true;
}

/// The tree and the host in it, as long as the verb takes.
struct Scene {
  Tree tree;
  std::optional<Host> host;
};

/// Prints what is wrong: nothing, and the exit status.
std::unique_ptr<Scene> look_around(const TuneOptions& options, int& status) {
  status = kMisuse;
  if (!knobs_exist(options.selection)) return nullptr;
  Result<Tree> tree = Tree::open(options.root);
  if (!tree) {
    complain(tree.error());
    return nullptr;
  }
  auto scene = std::make_unique<Scene>(Scene{std::move(*tree), std::nullopt});
  std::optional<tuning::Target> target = read_tune_target(options.config, scene->tree);
  if (!target) return nullptr;
  status = kNotSo;
  Result<Host> host = Host::look(scene->tree, std::move(*target));
  if (!host) {
    complain(host.error());
    return nullptr;
  }
  scene->host = std::move(*host);
  return scene;
}

/// The place for this host's values is for no other root's: a later revert would write them here.
bool has_state_of_its_own(const TuneOptions& options, const Tree& tree) {
  return tree.is_this_host() || options.state != kTuneState;
}

int complain_of_state(const Tree& tree) {
  std::cerr << "deja: " << kTuneState << " is for what this host had, not " << tree.root()
            << ": name a --state for it\n";
  return kMisuse;
}

void print_deeds(const TuneOptions& options, const std::vector<Deed>& deeds, bool is_dry) {
  std::cout << (options.json ? deeds_json(deeds, is_dry) : deeds_text(deeds));
}

/// A dry run as deeds that were not done.
std::vector<Deed> wishes(const std::vector<Row>& rows) {
  std::vector<Deed> deeds;
  for (const Row& row : rows) {
    for (const tuning::Write& write : row.finding.writes) {
      deeds.push_back({row.knob->name, write.place, write.old, write.value, {}, {}, false});
    }
  }
  return deeds;
}

}  // namespace

bool knobs_exist(const tuning::Selection& selection) {
  return are_known(selection.only) && are_known(selection.except);
}

int run_tune_check(const TuneOptions& options) {
  int status = kDone;
  const std::unique_ptr<Scene> scene = look_around(options, status);
  if (scene == nullptr) return status;
  const std::vector<Row> rows = look_at_knobs(*scene->host, options.selection);
  std::cout << (options.json ? check_json(*scene->host, rows) : check_text(*scene->host, rows));
  return all_right(rows) ? kDone : kNotSo;
}

int run_tune_explain(const TuneOptions& options) {
  if (!are_known({options.knob})) return kMisuse;
  int status = kDone;
  const std::unique_ptr<Scene> scene = look_around(options, status);
  if (scene == nullptr) return status;
  const std::vector<Row> rows = look_at_knobs(*scene->host, {{options.knob}, {}});
  std::cout << (options.json ? explanation_json(rows.front()) : explanation_text(rows.front()));
  return kDone;
}

int run_tune_apply(const TuneOptions& options) {
  int status = kDone;
  const std::unique_ptr<Scene> scene = look_around(options, status);
  if (scene == nullptr) return status;
  if (!options.yes) {
    const std::vector<Row> rows = look_at_knobs(*scene->host, options.selection);
    const bool has_state = has_state_of_its_own(options, scene->tree);
    const std::string where = has_state ? options.state : "a --state that you name";
    std::cout << (options.json ? deeds_json(wishes(rows), true) : dry_run_text(rows, where));
    return kDone;
  }
  if (!has_state_of_its_own(options, scene->tree)) return complain_of_state(scene->tree);
  Result<SavedValues> saved = SavedValues::open(options.state, scene->tree.root());
  if (!saved) return complain(saved.error());
  // Looked at under the lock: what another one writes is not taken for what the host had.
  const std::vector<Row> rows = look_at_knobs(*scene->host, options.selection);
  const Result<std::vector<Deed>> deeds = apply_rows(scene->tree, rows, *saved);
  if (!deeds) return complain(deeds.error());
  print_deeds(options, *deeds, false);
  if (!options.json) {
    const std::string by_hand = by_hand_text(rows);
    if (!by_hand.empty()) std::cout << "By hand:\n" << by_hand;
    std::cout << (deeds->empty() ? "There is nothing to write.\n"
                                 : "What was there is saved in " + options.state +
                                       "; deja tune revert gives it back.\n");
  }
  return all_done(*deeds) ? kDone : kNotSo;
}

int run_tune_revert(const TuneOptions& options) {
  if (!knobs_exist(options.selection)) return kMisuse;
  Result<Tree> tree = Tree::open(options.root);
  if (!tree) return complain(tree.error());
  if (!has_state_of_its_own(options, *tree)) return complain_of_state(*tree);
  // Who has nothing to give back needs no right to write there.
  const Result<std::vector<tuning::SavedValue>> peeked =
      SavedValues::peek(options.state, tree->root());
  if (peeked && peeked->empty()) {
    std::cout << (options.json ? deeds_json({}, false)
                               : "Nothing is saved in " + options.state +
                                     ": there is nothing to give back.\n");
    return kDone;
  }
  Result<SavedValues> saved = SavedValues::open(options.state, tree->root());
  if (!saved) return complain(saved.error());
  const Result<std::vector<Deed>> deeds = revert_values(*tree, options.selection, *saved);
  if (!deeds) return complain(deeds.error());
  print_deeds(options, *deeds, false);
  if (!options.json && !saved->values().empty()) {
    std::cout << saved->values().size() << " stay saved in " << options.state << ".\n";
  }
  return all_done(*deeds) ? kDone : kNotSo;
}

}  // namespace deja
