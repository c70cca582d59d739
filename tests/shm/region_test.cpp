#include "shm/region.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace skerry {
namespace {

Fd plain_memfd(off_t bytes, int seals) {
  Fd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), bytes), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

TEST(Region, TwoMappingsShareOneMemory) {
  Result<Region> a = Region::create("test", 10'000);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->bytes(), 12'288u);
  Result<Region> b = Region::adopt(Fd(::dup(a->fd())), 10'000);
  ASSERT_TRUE(b);
  a->data()[12'287] = std::byte{42};
  EXPECT_EQ(b->data()[12'287], std::byte{42});
}

TEST(Region, CannotChangeItsSizeOrItsSeals) {
  Result<Region> region = Region::create("test", 8192);
  ASSERT_TRUE(region);
  EXPECT_NE(::ftruncate(region->fd(), 4096), 0);
  EXPECT_NE(::ftruncate(region->fd(), 16'384), 0);
  EXPECT_NE(::fcntl(region->fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
}

TEST(Region, RefusesWhatCouldShrink) {
  Result<Region> region = Region::adopt(plain_memfd(4096, 0), 4096);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().message, "shared memory is not sealed against shrinking and growing");
  EXPECT_FALSE(Region::adopt(plain_memfd(4096, F_SEAL_SHRINK | F_SEAL_SEAL), 4096));
  EXPECT_FALSE(Region::adopt(plain_memfd(4096, F_SEAL_SHRINK | F_SEAL_GROW), 4096));
  EXPECT_TRUE(Region::adopt(plain_memfd(4096, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 4096));
}

TEST(Region, RefusesAnotherSize) {
  Result<Region> region = Region::adopt(plain_memfd(4096, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 8192);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().message, "shared memory has 4096 bytes instead of 8192");
}

TEST(Region, RefusesWhatIsNoMemfd) {
  EXPECT_FALSE(Region::adopt(Fd(::open("/dev/zero", O_RDWR | O_CLOEXEC)), 4096));
  EXPECT_FALSE(Region::adopt(Fd(), 4096));
}

}  // namespace
}  // namespace skerry
