#include "ingest/path_trie.h"

#include <algorithm>

namespace deja {
namespace {

// "a..b", ".a" and "" name nothing, and "[]" may stand only behind a name.
bool well_formed(std::string_view path) {
  if (path.empty() || path.front() == '.' || path.back() == '.') return false;
  if (path.find("..") != path.npos || path.starts_with("[]") || path.find(".[]") != path.npos) {
    return false;
  }
  for (std::size_t at = path.find("[]"); at != path.npos; at = path.find("[]", at + 2)) {
    if (at + 2 < path.size() && path[at + 2] != '.') return false;
  }
  return true;
}

}  // namespace

PathTrie::PathTrie(schema::Catalog::Reader catalog) {
  nodes_.resize(2);
  const auto child = [this](Node node, std::string_view name) {
    for (const Child& known : nodes_[node].children) {
      if (known.name == name) return known.node;
    }
    const auto made = static_cast<Node>(nodes_.size());
    nodes_.emplace_back();
    nodes_[node].children.push_back(
        {std::string(name), first_word(name.data(), name.size()), made});
    return made;
  };
  const auto elements_of = [this](Node node) {
    if (nodes_[node].elements != kNowhere) return nodes_[node].elements;
    const auto made = static_cast<Node>(nodes_.size());
    nodes_.emplace_back();
    nodes_[node].elements = made;
    return made;
  };
  std::uint16_t slot = 0;
  for (const auto declared : catalog.getSlots()) {
    const std::string_view path(declared.getPath().begin(), declared.getPath().size());
    if (well_formed(path) && slot != kNoSlot) {
      Node node = root();
      for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t dot = path.find('.', begin);
        std::string_view name = path.substr(begin, dot == path.npos ? dot : dot - begin);
        begin = dot == path.npos ? path.size() : dot + 1;
        const bool is_array = name.ends_with("[]");
        if (is_array) name.remove_suffix(2);
        node = child(node, name);
        if (is_array) node = elements_of(node);
      }
      if (nodes_[node].slot == kNoSlot) nodes_[node].slot = slot;
    }
    ++slot;
  }
  for (NodeData& node : nodes_) {
    std::sort(node.children.begin(), node.children.end(),
              [](const Child& a, const Child& b) { return a.word < b.word; });
  }
}

PathTrie::Node PathTrie::member_of_many(const std::vector<Child>& children, std::string_view name,
                                        std::uint64_t word) {
  auto found = std::lower_bound(children.begin(), children.end(), word,
                                [](const Child& a, std::uint64_t b) { return a.word < b; });
  for (; found != children.end() && found->word == word; ++found) {
    if (found->is(name, word)) return found->node;
  }
  return kNowhere;
}

}  // namespace deja
