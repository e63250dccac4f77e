#include "shm/nearest_name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace deja {
namespace {

const std::vector<std::string> kTypes = {"count", "sum", "min", "max", "top", "distinct"};

TEST(EditDistance, CountsInsertedRemovedReplacedAndSwappedLetters) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("price", "price"), 0U);
  EXPECT_EQ(edit_distance("price", "prize"), 1U);
  EXPECT_EQ(edit_distance("price", "pricee"), 1U);
  EXPECT_EQ(edit_distance("price", "prce"), 1U);
  EXPECT_EQ(edit_distance("price", "pirce"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("Product Viewed", "product viewed"), 0U);
}

TEST(EditDistance, LooksAtNoMoreThanTheBeginningOfVeryLongNames) {
  EXPECT_EQ(edit_distance(std::string(100'000, 'a'), std::string(200'000, 'a')), 0U);
}

TEST(NearestName, IsTheOneWithTheFewestDifferences) {
  EXPECT_EQ(nearest_name("topp", kTypes), "top");
  EXPECT_EQ(nearest_name("distnict", kTypes), "distinct");
  EXPECT_EQ(nearest_name("COUNT", kTypes), "count");
}

TEST(NearestName, IsNothingWhenNoNameIsNear) {
  EXPECT_EQ(nearest_name("window", kTypes), std::nullopt);
  EXPECT_EQ(nearest_name("", kTypes), std::nullopt);
  EXPECT_EQ(nearest_name("x", std::vector<std::string>{"y"}), std::nullopt);
  EXPECT_EQ(nearest_name("x", std::vector<std::string>{}), std::nullopt);
}

TEST(NearestName, IsTheFirstOfEquallyNearOnes) {
  EXPECT_EQ(nearest_name("mix", kTypes), "min");
}

TEST(DidYouMean, IsAHalfSentenceOrNothing) {
  EXPECT_EQ(did_you_mean("topp", kTypes), "; did you mean \"top\"?");
  EXPECT_EQ(did_you_mean("topp", kTypes, '\''), "; did you mean 'top'?");
  EXPECT_EQ(did_you_mean("window", kTypes), "");
}

}  // namespace
}  // namespace deja
