// Renderers ask for users whom they miss: what the keeper looks up, and what it hands over. Against
// a real redis-server; workers and renderers are played by the test.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "shm/ask_layout.h"
#include "shm/base/descriptor.h"
#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"

namespace deja {
namespace {

class KeeperAsk : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_REDIS();
    ASSERT_TRUE(redis_.start());
    TestPlan plan;
    plan.redis_url = redis_.url();
    appliance_ = std::make_unique<KeeperAppliance>(plan);
    start();
  }
  void start() {
    appliance_->start_keeper();
    ASSERT_TRUE(appliance_->recover());
    ASSERT_TRUE(eventually([&] { return access(asked_path().c_str(), W_OK) == 0; }));
  }
  [[nodiscard]] std::string asked_path() const { return appliance_->segment().path(kAskedFile); }
  bool send(const void* bytes, std::size_t size) {
    const Descriptor descriptor(socket(AF_UNIX, SOCK_DGRAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", asked_path().c_str());
    return sendto(descriptor.number(), bytes, size, 0, reinterpret_cast<sockaddr*>(&address),
                  sizeof address) == static_cast<ssize_t>(size);
  }
  bool ask(const std::vector<std::string>& users) {
    AskWriter writer(appliance_->segment().superblock().incarnation);
    for (const std::string& user : users) CHECK(writer.add(KeeperAppliance::user_key(user)));
    return send(writer.bytes(), writer.size());
  }
  std::uint64_t asked(const std::string& outcome) {
    return appliance_->counter("deja_profiles_asked_total{outcome=\"" + outcome + "\"}");
  }
  void store_and_evict(const std::string& user) {
    appliance_->view(user);
    ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
    appliance_->evict(user);
  }

  RedisServer redis_;
  std::unique_ptr<KeeperAppliance> appliance_;
};

TEST_F(KeeperAsk, WhoIsMissedIsHandedOverAsHeIsStored) {
  store_and_evict("ada");
  const std::string stored = redis_.cli("hget " + appliance_->redis_key("ada") + " sequence");
  ASSERT_TRUE(ask({"ada"}));
  std::optional<std::pair<std::uint32_t, std::uint64_t>> part;
  ASSERT_TRUE(eventually([&] { return (part = appliance_->take_part("ada")).has_value(); }));
  EXPECT_EQ(part->first, kReturnAsked);
  EXPECT_EQ(std::to_string(part->second), stored);
  EXPECT_EQ(asked("given"), 1U);
  EXPECT_EQ(appliance_->counter("deja_stored_parts_total"), 0U);
}

TEST_F(KeeperAsk, NobodyIsHandedOverWhoIsThereOrWasNeverStored) {
  appliance_->view("bob");
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  ASSERT_TRUE(ask({"bob", "nobody"}));
  ASSERT_TRUE(eventually([&] { return asked("present") == 1 && asked("nothing_stored") == 1; }));
  EXPECT_FALSE(appliance_->take_part("bob").has_value());
  EXPECT_FALSE(appliance_->take_part("nobody").has_value());
  EXPECT_EQ(asked("given"), 0U);
}

TEST_F(KeeperAsk, WhatMakesNoSenseIsCountedAndNothingElse) {
  store_and_evict("ada");
  const std::string noise(3000, '\xff');
  ASSERT_TRUE(send(noise.data(), noise.size()));
  ASSERT_TRUE(send(noise.data(), 0));
  const std::string longer(kAskBytesMax + 100, '\0');
  ASSERT_TRUE(send(longer.data(), longer.size()));
  AskWriter former(appliance_->segment().superblock().incarnation - 1);
  ASSERT_TRUE(former.add(KeeperAppliance::user_key("ada")));
  ASSERT_TRUE(send(former.bytes(), former.size()));
  ASSERT_TRUE(eventually([&] { return asked("broken") == 4; }));
  ASSERT_TRUE(ask({"ada"}));
  ASSERT_TRUE(eventually([&] { return appliance_->take_part("ada").has_value(); }));
}

TEST_F(KeeperAsk, WhileRedisIsAwayQuestionsWaitAndAreBounded) {
  store_and_evict("ada");
  redis_.stop();
  ASSERT_TRUE(ask({"ada"}));
  for (int at = 0; at < 10'000; at += 100) {
    std::vector<std::string> users;
    for (int user = at; user < at + 100; ++user) users.push_back("user-" + std::to_string(user));
    ASSERT_TRUE(ask(users));
  }
  ASSERT_TRUE(eventually([&] { return asked("too_many") > 5000; }));
  ASSERT_TRUE(redis_.start());
  ASSERT_TRUE(eventually([&] { return asked("nothing_stored") > 4000; }));
  ASSERT_TRUE(eventually([&] { return appliance_->take_part("ada").has_value(); }));
  EXPECT_LT(asked("nothing_stored"), 4100U);
}

TEST_F(KeeperAsk, ANextKeeperTakesTheSocketOver) {
  store_and_evict("ada");
  EXPECT_EQ(appliance_->stop_keeper(), "");
  struct stat before {};
  ASSERT_EQ(stat(asked_path().c_str(), &before), 0);
  EXPECT_EQ(before.st_mode & 0777U, 0660U) << "for the readers' group";
  EXPECT_FALSE(ask({"ada"})) << "nobody listens";
  appliance_->start_keeper();
  ASSERT_TRUE(eventually([&] { return ask({"ada"}); }));
  ASSERT_TRUE(eventually([&] { return appliance_->take_part("ada").has_value(); }));
}

}  // namespace
}  // namespace deja
