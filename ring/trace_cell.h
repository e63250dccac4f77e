// Writing and reading a cell of the trace files (ring/trace_layout.h) beside each other: a sequence
// lock whose counter is the number of the event that the cell belongs to. One writer, any readers;
// neither ever waits. No allocation.
//
//  1 writer: owner = 0 │ 2 words │ 3 owner = number + 1
//  A reader that finds its number before and after the words has them whole: a writer in between
//  would have gone through 1, whose store the reader's second look can't miss once it has seen any
//  word of 2 (fences). Single words may change later (set_word): each stands for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ring/trace_layout.h"
#include "shm/block.h"

namespace deja {

template <typename T>
void write_cell(TraceCellLayout<T>& cell, std::uint64_t number, const T& value) {
  cell.owner.store(0, std::memory_order_relaxed);
  // SYNC(trace.begin): whoever sees one of the words sees that they are being written.
  fence_release();
  store_words(&value, cell.words, TraceCellLayout<T>::kWords);
  // SYNC(trace.whole): the words are there.
  cell.owner.store(number + 1, std::memory_order_release);
}

/// False: the cell is not this number's (any more, or yet).
template <typename T>
[[nodiscard]] bool read_cell(const TraceCellLayout<T>& cell, std::uint64_t number, T& value) {
  // SYNC(trace.whole): may now read the words.
  if (cell.owner.load(std::memory_order_acquire) != number + 1) return false;
  load_words(cell.words, &value, TraceCellLayout<T>::kWords);
  // SYNC(trace.begin): a writer that any word came from is seen now.
  fence_acquire();
  return cell.owner.load(std::memory_order_relaxed) == number + 1;
}

/// The owner's: one word of a cell that is whole, `offset` bytes into T.
template <typename T>
void set_word(TraceCellLayout<T>& cell, std::size_t offset, std::uint64_t word) {
  cell.words[offset / 8].store(word, std::memory_order_release);
}

/// Where whoever follows a lane goes on: at `cursor`, unless its slots are used again by now, or it
/// lies beyond what there is (a count of a file that is not ours).
[[nodiscard]] constexpr std::uint64_t sane_cursor(std::uint64_t cursor, std::uint64_t count) {
  if (cursor > count) return count;
  return count - cursor > kTraceSlots ? count - kTraceSlots : cursor;
}

/// A text into a field of a TraceSlot: cut, or with zeroes behind it.
template <std::size_t kBytes>
void set_text(char (&field)[kBytes], const char* text, std::size_t size) {
  const std::size_t kept = size < kBytes ? size : kBytes;
  if (kept != 0) std::memcpy(field, text, kept);
  std::memset(field + kept, 0, kBytes - kept);
}

}  // namespace deja
