#include "ring/trace_cell.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string_view>
#include <thread>

namespace deja {
namespace {

struct Value {
  std::uint64_t words[6];
};

TEST(TraceCell, IsItsNumbersAndNobodyElses) {
  TraceCellLayout<Value> cell{};
  Value value{};
  EXPECT_FALSE(read_cell(cell, 0, value)) << "zeroes are no number's";
  write_cell(cell, 0, Value{{1, 2, 3, 4, 5, 6}});
  EXPECT_TRUE(read_cell(cell, 0, value));
  EXPECT_EQ(value.words[5], 6U);
  EXPECT_FALSE(read_cell(cell, kTraceSlots, value)) << "the next lap's";
  write_cell(cell, kTraceSlots, Value{{7, 7, 7, 7, 7, 7}});
  EXPECT_FALSE(read_cell(cell, 0, value));
  EXPECT_TRUE(read_cell(cell, kTraceSlots, value));
  set_word(cell, 8, 9);
  EXPECT_TRUE(read_cell(cell, kTraceSlots, value));
  EXPECT_EQ(value.words[1], 9U);
  EXPECT_EQ(value.words[0], 7U);
}

TEST(TraceCell, IsReadWholeOrNotAtAllBesideItsWriter) {
  TraceCellLayout<Value> cell{};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> latest{0};
  std::thread writer([&] {
    for (std::uint64_t number = 1; !stop.load(std::memory_order_relaxed); ++number) {
      write_cell(cell, number, Value{{number, number, number, number, number, number}});
      latest.store(number, std::memory_order_relaxed);
    }
  });
  std::uint64_t read_count = 0;
  while (read_count < 20'000) {
    const std::uint64_t number = latest.load(std::memory_order_relaxed);
    Value value{};
    if (number == 0 || !read_cell(cell, number, value)) {
      std::this_thread::yield();  // it may have to share its core with the writer
      continue;
    }
    ++read_count;
    for (const std::uint64_t word : value.words) ASSERT_EQ(word, number);
  }
  stop.store(true, std::memory_order_relaxed);
  writer.join();
}

TEST(TraceCell, ACursorStaysAmongTheSlotsThatThereAre) {
  EXPECT_EQ(sane_cursor(0, 0), 0U);
  EXPECT_EQ(sane_cursor(5, 9), 5U);
  EXPECT_EQ(sane_cursor(0, kTraceSlots), 0U);
  EXPECT_EQ(sane_cursor(0, kTraceSlots + 1), 1U);
  EXPECT_EQ(sane_cursor(9, 5), 5U) << "a count that went back";
  EXPECT_EQ(sane_cursor(9, ~std::uint64_t{0}), ~std::uint64_t{0} - kTraceSlots);
}

TEST(TraceCell, ATextIsCutOrEndsInZeroes) {
  char field[8] = {'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x'};
  set_text(field, "ab", 2);
  EXPECT_EQ(std::string_view(field, 8), std::string_view("ab\0\0\0\0\0\0", 8));
  set_text(field, "0123456789", 10);
  EXPECT_EQ(std::string_view(field, 8), "01234567");
  set_text(field, nullptr, 0);
  EXPECT_EQ(std::string_view(field, 8), std::string_view("\0\0\0\0\0\0\0\0", 8));
}

}  // namespace
}  // namespace deja
