// FILE* on sockets, and input and output that is done elsewhere.
#include <aio.h>
#include <linux/aio_abi.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "scenarios.hpp"

// FILE* on a socket, as old servers have it.
void stdio() {
  const int listening = listener(8005);
  const int near = connect_to(8005), far = accept(listening, nullptr, nullptr);
  char line[64] = {};
  EXPECT(dprintf(near, "%s %d\n", "printed", 1) == 10);
  EXPECT(read(far, line, sizeof line) == 10 && std::strcmp(line, "printed 1\n") == 0);
  const std::string large(9000, 'l');
  EXPECT(dprintf(near, "%s", large.c_str()) == 9000);
  for (size_t got = 0; got < large.size();) {
    const ssize_t more = read(far, line, sizeof line);
    EXPECT(more > 0);
    got += static_cast<size_t>(more);
  }

  FILE* out = fdopen(near, "w");
  FILE* in = fdopen(far, "r");
  EXPECT(out != nullptr && in != nullptr && fileno(out) == near && fileno(in) == far);
  EXPECT(std::fprintf(out, "line %d\n", 2) == 7 && std::fflush(out) == 0);
  EXPECT(std::fgets(line, sizeof line, in) == line && std::strcmp(line, "line 2\n") == 0);
  EXPECT(std::fprintf(out, "the end\n") == 8 && std::fclose(out) == 0);
  EXPECT(write(near, "x", 1) == -1 && errno == EBADF);
  EXPECT(std::fgets(line, sizeof line, in) == line && std::strcmp(line, "the end\n") == 0);
  EXPECT(std::fgets(line, sizeof line, in) == nullptr && std::feof(in));
  EXPECT(std::fclose(in) == 0);

  int ends[2];
  EXPECT(pipe(ends) == 0);
  FILE* plain = fdopen(ends[1], "w");
  EXPECT(plain != nullptr && fileno(plain) == ends[1] && std::fprintf(plain, "x") == 1 &&
         std::fclose(plain) == 0);
  EXPECT(dprintf(ends[1], "x") == -1);
  close(listening);
}

// As many streams and commands as there are descriptors.
void many_streams() {
  const int listening = listener(8006);
  const int near = connect_to(8006), far = accept(listening, nullptr, nullptr);
  constexpr int kMany = 300;
  std::vector<std::pair<FILE*, int>> streams;
  for (int i = 0; i < kMany; ++i) {
    const int fd = dup(near);
    streams.emplace_back(fdopen(fd, "w"), fd);
    EXPECT(streams.back().first != nullptr);
  }
  for (const auto& [stream, fd] : streams)
    EXPECT(fileno(stream) == fd && std::fputc('x', stream) == 'x' && std::fclose(stream) == 0);
  char bytes[kMany];
  EXPECT(recv(far, bytes, sizeof bytes, MSG_WAITALL) == kMany);
  std::vector<FILE*> commands;
  for (int i = 0; i < kMany; ++i) {
    commands.push_back(popen("read line; exit ${#line}", "w"));
    EXPECT(commands.back() != nullptr);
  }
  for (FILE* command : commands) EXPECT(std::fputs("abc\n", command) >= 0 && pclose(command) == 3 << 8);
}

void asynchronous() {
  const int listening = listener(8012);
  const int near = connect_to(8012), far = accept(listening, nullptr, nullptr);
  char byte = 'x';
  aiocb request{};
  request.aio_fildes = near;
  request.aio_buf = &byte;
  request.aio_nbytes = 1;
  aiocb* requests[] = {&request};
  EXPECT(aio_write(&request) == -1 && errno == ENOSYS);
  EXPECT(aio_read(&request) == -1 && errno == ENOSYS);
  EXPECT(lio_listio(LIO_WAIT, requests, 1, nullptr) == -1 && errno == ENOSYS);
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, 4, &context) == 0) {
    iocb by_kernel{};
    by_kernel.aio_fildes = static_cast<uint32_t>(near);
    by_kernel.aio_lio_opcode = IOCB_CMD_PWRITE;
    by_kernel.aio_buf = reinterpret_cast<uint64_t>(&byte);
    by_kernel.aio_nbytes = 1;
    iocb* list[] = {&by_kernel};
    EXPECT(syscall(SYS_io_submit, context, 1, list) == -1 && errno == EINVAL);
    syscall(SYS_io_destroy, context);
  }
  EXPECT(exchange(near, far));
}
