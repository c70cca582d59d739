#include "shm/region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/system_error.hpp"

namespace skerry {
namespace {

#ifndef MFD_NOEXEC_SEAL
constexpr unsigned MFD_NOEXEC_SEAL = 8;  // Linux 6.3
#endif

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

size_t whole_pages(size_t bytes) {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

Result<Region> Region::create(const char* name, size_t bytes) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd fd(::memfd_create(name, kFlags | MFD_NOEXEC_SEAL));
  if (!fd && errno == EINVAL) fd.reset(::memfd_create(name, kFlags));  // before Linux 6.3
  if (!fd) return system_error("cannot create shared memory");
  if (::ftruncate(fd.get(), static_cast<off_t>(whole_pages(bytes))) != 0)
    return system_error("cannot size shared memory");
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return system_error("cannot seal shared memory");
  return adopt(std::move(fd), bytes);
}

Result<Region> Region::adopt(Fd fd, size_t bytes) {
  const size_t expected = whole_pages(bytes);
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0) return system_error("shared memory is not a sealable memfd");
  if ((seals & kSeals) != kSeals) return Error{"shared memory is not sealed against shrinking and growing"};
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return system_error("cannot look at shared memory");
  if (static_cast<uint64_t>(status.st_size) != expected)
    return Error{"shared memory has " + std::to_string(status.st_size) + " bytes instead of " +
                 std::to_string(expected)};
  void* data = ::mmap(nullptr, expected, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return system_error("cannot map shared memory");
  return Region(std::move(fd), static_cast<std::byte*>(data), expected);
}

Region::Region(Region&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Region& Region::operator=(Region&& other) noexcept {
  if (this != &other) {
    unmap();
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Region::~Region() {
  unmap();
}

void Region::unmap() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace skerry
