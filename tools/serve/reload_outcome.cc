#include "tools/serve/reload_outcome.h"

#include <fstream>
#include <iterator>

#include "tools/serve/replace_file.h"

namespace deja {
namespace {

std::string file_in(const std::string& segment_directory) {
  return segment_directory + "/reload";
}

}  // namespace

Status ReloadOutcome::write(const std::string& segment_directory) const {
  return replace_file(file_in(segment_directory),
                      std::to_string(number) + (done ? " done\n" : " refused\n") + text + "\n",
                      ReplaceTo::kMemory);
}

ReloadOutcome ReloadOutcome::read(const std::string& segment_directory) {
  std::ifstream file(file_in(segment_directory));
  ReloadOutcome outcome;
  std::string how;
  if (!(file >> outcome.number >> how)) return {};
  outcome.done = how == "done";
  file.ignore(1);
  outcome.text.assign(std::istreambuf_iterator<char>(file), {});
  while (outcome.text.ends_with('\n')) outcome.text.pop_back();
  return outcome;
}

void ReloadOutcome::remove(const std::string& segment_directory) {
  remove_replaced_file(file_in(segment_directory));
}

}  // namespace deja
