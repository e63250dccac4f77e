#include "ingest/path_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/ingest/sink/test_appliance.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

class CatalogOf {
 public:
  explicit CatalogOf(const std::vector<std::string>& paths) : bytes_(test_catalog({}, paths)) {
    words_.resize(bytes_.size() / 8);
    std::memcpy(words_.data(), bytes_.data(), bytes_.size());
    reader_ = std::make_unique<capnp::FlatArrayMessageReader>(kj::ArrayPtr<const capnp::word>(
        reinterpret_cast<const capnp::word*>(words_.data()), words_.size()));
  }
  [[nodiscard]] schema::Catalog::Reader get() const { return reader_->getRoot<schema::Catalog>(); }

 private:
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint64_t> words_;
  std::unique_ptr<capnp::FlatArrayMessageReader> reader_;
};

// The slot that a walk along `path` ends at.
std::uint16_t walk(const PathTrie& trie, const std::string& path) {
  PathTrie::Node node = trie.root();
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t dot = path.find('.', begin);
    std::string name = path.substr(begin, dot == path.npos ? dot : dot - begin);
    begin = dot == path.npos ? path.size() : dot + 1;
    const bool is_array = name.ends_with("[]");
    if (is_array) name.resize(name.size() - 2);
    node = trie.member(node, name);
    if (is_array) node = trie.elements(node);
  }
  return trie.slot(node);
}

TEST(PathTrie, EveryDeclaredPathEndsAtItsSlot) {
  const std::vector<std::string> paths = {"properties.product_id",
                                          "properties.products[].price",
                                          "properties.products[].product_id",
                                          "context.page.path",
                                          "traits.plan",
                                          "properties.tags[]",
                                          "properties",
                                          "channel"};
  const CatalogOf catalog(paths);
  const PathTrie trie(catalog.get());
  for (std::uint16_t slot = 0; slot < paths.size(); ++slot) {
    EXPECT_EQ(walk(trie, paths[slot]), slot) << paths[slot];
  }
}

TEST(PathTrie, WhatNoPathNamesIsNowhere) {
  const CatalogOf catalog({"properties.products[].price", "properties.value"});
  const PathTrie trie(catalog.get());
  EXPECT_EQ(trie.member(trie.root(), "propertie"), PathTrie::kNowhere);
  EXPECT_EQ(trie.member(trie.root(), ""), PathTrie::kNowhere);
  EXPECT_EQ(trie.member(PathTrie::kNowhere, "properties"), PathTrie::kNowhere);
  EXPECT_EQ(trie.elements(PathTrie::kNowhere), PathTrie::kNowhere);
  EXPECT_EQ(trie.elements(trie.root()), PathTrie::kNowhere);
  const PathTrie::Node properties = trie.member(trie.root(), "properties");
  EXPECT_NE(properties, PathTrie::kNowhere);
  EXPECT_EQ(trie.slot(properties), PathTrie::kNoSlot);
  EXPECT_EQ(trie.slot(PathTrie::kNowhere), PathTrie::kNoSlot);
  // The array itself, and a member without its array, are no values.
  EXPECT_EQ(walk(trie, "properties.products"), PathTrie::kNoSlot);
  EXPECT_EQ(walk(trie, "properties.products.price"), PathTrie::kNoSlot);
  EXPECT_EQ(walk(trie, "properties.value[]"), PathTrie::kNoSlot);
}

TEST(PathTrie, ManyMembersOfOneObjectAreToldApart) {
  // More than are looked through one by one, some alike in their first eight bytes.
  std::vector<std::string> paths;
  for (const char* start : {"", "a", "product", "product_", "product_of_"}) {
    for (int number = 0; number < 12; ++number) {
      paths.push_back("properties." + (start + std::to_string(number)));
    }
  }
  const CatalogOf catalog(paths);
  const PathTrie trie(catalog.get());
  for (std::size_t at = 0; at < paths.size(); ++at) EXPECT_EQ(walk(trie, paths[at]), at);
  for (const char* other : {"", "b1", "product_of_1x", "product_of_", "product_99"}) {
    EXPECT_EQ(walk(trie, std::string("properties.") + other), PathTrie::kNoSlot) << other;
  }
}

TEST(PathTrie, APathThatNamesNothingIsLeftOut) {
  const CatalogOf catalog({"", "a..b", ".a", "a.", "[]", "a.[]", "a[]b", "b"});
  const PathTrie trie(catalog.get());
  EXPECT_EQ(walk(trie, "b"), 7);
  EXPECT_EQ(trie.member(trie.root(), "a"), PathTrie::kNowhere);
  EXPECT_EQ(trie.slot(trie.root()), PathTrie::kNoSlot);
}

TEST(PathTrie, FindsWhatAMapOfPathsFinds) {
  std::mt19937_64 random(test_seed());
  std::map<std::string, std::uint16_t> reference;
  std::vector<std::string> paths;
  const auto some_path = [&] {
    std::string path;
    const int depth = 1 + static_cast<int>(random() % 4);
    for (int level = 0; level < depth; ++level) {
      if (level != 0) path += '.';
      path.append(1 + random() % 2, static_cast<char>('a' + random() % 3));
      if (random() % 8 == 0) path += "[]";
    }
    return path;
  };
  for (std::uint16_t slot = 0; slot < 200; ++slot) {
    paths.push_back(some_path());
    reference.emplace(paths.back(), slot);
  }
  const CatalogOf catalog(paths);
  const PathTrie trie(catalog.get());
  for (int round = 0; round < 20'000; ++round) {
    const std::string path = some_path();
    const auto found = reference.find(path);
    ASSERT_EQ(walk(trie, path), found == reference.end() ? PathTrie::kNoSlot : found->second)
        << path;
  }
}

}  // namespace
}  // namespace deja
