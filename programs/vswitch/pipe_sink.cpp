#include "pipe_sink.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace skerry {

bool PipeSink::write(ConstBytes blocks) {
  if (!flush()) return false;
  if (!begun_.empty()) {
    ++lost_batches_;
    return true;
  }
  begun_.assign(blocks.begin(), blocks.end());
  return flush();
}

bool PipeSink::flush() {
  size_t written = 0;
  while (written < begun_.size()) {
    const ssize_t bytes = ::write(pipe_.get(), begun_.data() + written, begun_.size() - written);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno != EAGAIN) return false;
    if (bytes < 0) break;
    written += static_cast<size_t>(bytes);
  }
  begun_.erase(begun_.begin(), begun_.begin() + static_cast<ptrdiff_t>(written));
  return true;
}

bool PipeSink::reader_gone() const {
  pollfd state{pipe_.get(), 0, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

}  // namespace skerry
