#include "run/env.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace skerry {
namespace {

bool is_open(int descriptor) {
  return ::fcntl(descriptor, F_GETFD) >= 0;
}

Fd memory_with(const std::string& text) {
  Fd memory(::memfd_create("env", MFD_CLOEXEC));
  EXPECT_EQ(::write(memory.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return memory;
}

TEST(Env, GivesBackWhatTheSupervisorWrote) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EnvText text{
      "redis", "stack", {{"link.wake", ends[0]}, {"link.ring", ends[1]}}, {{"mac", "02:00:00:00:00:01"}}};
  Result<Fd> memory = write_env(text);
  ASSERT_TRUE(memory);
  Result<Env> env = Env::receive(std::move(*memory));
  ASSERT_TRUE(env) << env.error().message;
  EXPECT_EQ(env->name(), "redis");
  EXPECT_EQ(env->kind(), "stack");
  EXPECT_EQ(env->settings().at("mac"), "02:00:00:00:00:01");
  Result<Fd> wake = env->take("link.wake");
  ASSERT_TRUE(wake);
  EXPECT_EQ(wake->get(), ends[0]);
  EXPECT_EQ(::fcntl(wake->get(), F_GETFD), FD_CLOEXEC);
}

TEST(Env, ADescriptorIsTakenOnceAndUngrantedOnesNotAtAll) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Result<Fd> memory = write_env({"a", "vswitch", {{"one", ends[0]}, {"two", ends[1]}}});
  ASSERT_TRUE(memory);
  Result<Env> env = Env::receive(std::move(*memory));
  ASSERT_TRUE(env);
  EXPECT_TRUE(env->has("one"));
  const Result<Fd> first = env->take("one");
  EXPECT_TRUE(first);
  EXPECT_FALSE(env->has("one"));
  EXPECT_FALSE(env->take("one"));
  const Result<Fd> other = env->take("arena");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("arena"), std::string::npos);
}

TEST(Env, ClosesWhatNobodyTook) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Fd kept;
  {
    Result<Fd> memory = write_env({"a", "vswitch", {{"kept", ends[0]}, {"left", ends[1]}}});
    ASSERT_TRUE(memory);
    Result<Env> env = Env::receive(std::move(*memory));
    ASSERT_TRUE(env);
    kept = std::move(*env->take("kept"));
  }
  EXPECT_TRUE(is_open(ends[0]));
  EXPECT_FALSE(is_open(ends[1]));
}

TEST(Env, TheWrittenMemoryIsSealed) {
  Result<Fd> memory = write_env({"a", "stack", {}});
  ASSERT_TRUE(memory);
  EXPECT_EQ(::pwrite(memory->get(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(memory->get(), 0), -1);
}

TEST(Env, RefusesWhatIsNotAnEnvironment) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd first(ends[0]), second(ends[1]);
  const std::string number = std::to_string(ends[0]);
  for (const std::string& text : {
           std::string(""),
           std::string("{"),
           std::string("[]"),
           std::string(R"({"kind":"stack","fds":{}})"),
           std::string(R"({"name":"a","kind":1,"fds":{}})"),
           std::string(R"({"name":"a","kind":"stack"})"),
           std::string(R"({"name":"a","kind":"stack","fds":{},"settings":7})"),
           std::string(R"({"name":"a","kind":"stack","fds":{"x":"4"}})"),
           std::string(R"({"name":"a","kind":"stack","fds":{"x":1000}})"),
           R"({"name":"a","kind":"stack","fds":{"x":)" + number + R"(,"y":)" + number + "}}",
       }) {
    const Result<Env> env = Env::receive(memory_with(text));
    EXPECT_FALSE(env) << text;
    EXPECT_TRUE(is_open(ends[0])) << "a refused environment closes nothing";
  }
  EXPECT_FALSE(Env::receive(Fd(-1)));
}

}  // namespace
}  // namespace skerry
