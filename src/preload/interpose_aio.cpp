// Asynchronous input and output, of which neither kind knows our sockets: the kernel's (io_submit(2)) would
// have the anchor, as would the threads in which libc does aio_read(3) and its relatives. So each says that
// it cannot.
#include <aio.h>
#include <linux/aio_abi.h>

#include "preload/interpose.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

constinit Next<int(aiocb*)> next_aio_read{"aio_read"};
constinit Next<int(aiocb*)> next_aio_write{"aio_write"};
constinit Next<int(int, aiocb*)> next_aio_fsync{"aio_fsync"};
constinit Next<int(int, aiocb* const[], int, sigevent*)> next_lio_listio{"lio_listio"};

bool is_ours(const aiocb* request) {
  return request != nullptr && client::socket_of(request->aio_fildes) != sockets::kNoSocket;
}

bool is_ours(const iocb* request) {
  return request != nullptr && client::socket_of(static_cast<int>(request->aio_fildes)) != sockets::kNoSocket;
}

}  // namespace

long submit(long context, long count, iocb** requests) {
  long kernels = 0;
  while (kernels < count && !is_ours(requests[kernels])) ++kernels;
  if (kernels == 0 && count > 0) return -EINVAL;
  return client::system_call(SYS_io_submit, context, count > 0 ? kernels : count, client::word(requests));
}

void resolve_aio() {
  next_aio_read.resolve();
  next_aio_write.resolve();
  next_aio_fsync.resolve();
  next_lio_listio.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int aio_read(aiocb* request) noexcept {
  return is_ours(request) ? finish(-ENOSYS) : next_aio_read(request);
}

SKERRY_EXPORT int aio_write(aiocb* request) noexcept {
  return is_ours(request) ? finish(-ENOSYS) : next_aio_write(request);
}

SKERRY_EXPORT int aio_fsync(int operation, aiocb* request) noexcept {
  return is_ours(request) ? finish(-ENOSYS) : next_aio_fsync(operation, request);
}

SKERRY_EXPORT int lio_listio(int mode, aiocb* const requests[], int count, sigevent* told) noexcept {
  for (int i = 0; i < count; ++i)
    if (is_ours(requests[i])) return finish(-ENOSYS);
  return next_lio_listio(mode, requests, count, told);
}

// The same under the names that go with off64_t, which is the same here.
SKERRY_EXPORT int aio_read64(aiocb64* request) noexcept {
  return aio_read(reinterpret_cast<aiocb*>(request));
}

SKERRY_EXPORT int aio_write64(aiocb64* request) noexcept {
  return aio_write(reinterpret_cast<aiocb*>(request));
}

SKERRY_EXPORT int aio_fsync64(int operation, aiocb64* request) noexcept {
  return aio_fsync(operation, reinterpret_cast<aiocb*>(request));
}

SKERRY_EXPORT int lio_listio64(int mode, aiocb64* const requests[], int count, sigevent* told) noexcept {
  return lio_listio(mode, reinterpret_cast<aiocb* const*>(requests), count, told);
}

// libaio's, which returns -errno.
SKERRY_EXPORT int io_submit(aio_context_t context, long count, iocb** requests) {
  return static_cast<int>(submit(static_cast<long>(context), count, requests));
}
