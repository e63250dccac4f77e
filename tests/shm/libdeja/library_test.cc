// What is behind libdeja: libc alone, a header that C reads, no system call on the way of a read.
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <set>
#include <sstream>

#include "tests/shm/libdeja/segment_by_hand.h"

namespace deja {
namespace {

using namespace libdeja_test;

std::string output_of(const std::string& command, int& status) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    status = -1;
    return output;
  }
  char buffer[4096];
  while (const std::size_t size = fread(buffer, 1, sizeof buffer, pipe)) {
    output.append(buffer, size);
  }
  status = pclose(pipe);
  return output;
}

/// build/lib/libdeja.so, beside build/bin where this test lies.
std::string library() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
         "lib/libdeja.so";
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(DEJA_THREAD_SANITIZER)
TEST(LibdejaLibrary, NeedsLibcAlone) {
  int status = 0;
  std::istringstream lines(output_of("readelf -d '" + library() + "'", status));
  ASSERT_EQ(status, 0) << lines.str();
  std::set<std::string> needed;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("(NEEDED)") == std::string::npos) continue;
    const std::size_t open = line.find('[');
    needed.insert(line.substr(open + 1, line.find(']') - open - 1));
  }
  needed.erase("ld-linux-x86-64.so.2");
  needed.erase("ld-linux-aarch64.so.1");
  EXPECT_EQ(needed, std::set<std::string>{"libc.so.6"});
}

TEST(LibdejaLibrary, ExportsItsOwnNamesAndNoOthers) {
  int status = 0;
  std::istringstream lines(output_of("nm -D --defined-only '" + library() + "'", status));
  ASSERT_EQ(status, 0) << lines.str();
  int count = 0;
  std::string address;
  std::string kind;
  std::string name;
  while (lines >> address >> kind >> name) {
    EXPECT_EQ(name.rfind("deja_", 0), 0U) << name;
    ++count;
  }
  EXPECT_GT(count, 20);
}

TEST(LibdejaLibrary, ReadingNeedsNoSystemCallAndNoAllocator) {
  SegmentByHand segment;
  for (int at = 0; at < 40; ++at) segment.put("user-" + std::to_string(at), {});
  Opened opened(segment);
  ASSERT_EQ(opened.status(), DEJA_OK);
  std::vector<std::uint64_t> memory(deja_profile_bytes(opened.get()));
  auto* profiles = reinterpret_cast<deja_profile*>(memory.data());
  const deja_key keys[] = {deja_user("user-1", 6), deja_user("user-2", 6), deja_user("no", 2)};
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // From here on the kernel kills whoever asks for more than read, write and exit.
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(2);
    bool right = true;
    for (int round = 0; round < 1000; ++round) {
      deja_status statuses[3];
      right = right && deja_get(opened.get(), keys[0], profiles) == DEJA_OK;
      for (deja_feature feature = 0; feature < deja_feature_count(opened.get()); ++feature) {
        double number = 0;
        deja_item items[4];
        std::uint32_t count = 0;
        (void)deja_number(opened.get(), profiles, feature, deja_now_us(), &number);
        (void)deja_items(opened.get(), profiles, feature, 0, items, 4, &count);
      }
      right = right && deja_get_many(opened.get(), keys, 3, profiles, statuses) == DEJA_OK;
      right = right && statuses[1] == DEJA_OK && statuses[2] == DEJA_UNKNOWN;
      deja_cursor cursor{};
      while (deja_next(opened.get(), &cursor, profiles) == DEJA_OK) {
      }
      right = right && deja_wait(opened.get(), "v1.3e8.0:0:0", 0) == DEJA_OK;
    }
    syscall(SYS_exit, right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;

  // And the objects of that way do not even know the allocator's name.
  const std::string archive =
      std::filesystem::path(library()).parent_path().parent_path() / "libdeja.a";
  std::istringstream lines(output_of("nm -A --undefined-only '" + archive + "'", status));
  ASSERT_EQ(status, 0) << lines.str();
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    if (line.find(":open.cc.o:") != std::string::npos) continue;
    if (line.find(":catalog.cc.o:") != std::string::npos) continue;
    if (line.find(" U __asan_") != std::string::npos) continue;  // a sanitizer's, not ours
    EXPECT_EQ(line.find("alloc"), std::string::npos) << line;
    EXPECT_EQ(line.find(" free"), std::string::npos) << line;
    EXPECT_EQ(line.find("mutex"), std::string::npos) << line;
  }
  EXPECT_GT(count, 5);
}
#endif

TEST(LibdejaLibrary, TheHeaderIsC) {
  const std::filesystem::path root(DEJA_SOURCE_DIR);
  int status = 0;
  const std::string output = output_of(
      "printf '#include \"shm/deja.h\"\\nint main(void) { return deja_user(\"a\", 1).size != 1; }' "
      "|"
      " cc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I '" +
          root.string() + "' -x c -",
      status);
  EXPECT_EQ(status, 0) << output;
}

TEST(LibdejaLibrary, EveryStatusHasItsSentence) {
  std::set<std::string> sentences;
  for (int status = DEJA_OK; status <= DEJA_RESOURCES; ++status) {
    sentences.insert(deja_status_text(static_cast<deja_status>(status)));
  }
  EXPECT_EQ(sentences.size(), static_cast<std::size_t>(DEJA_RESOURCES) + 1);
  EXPECT_EQ(sentences.count("unknown status"), 0U);
}

}  // namespace
}  // namespace deja
