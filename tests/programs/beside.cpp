// A thread that sends five bytes to another over a stream of this program's own, for builds with sanitizers.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

int main() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, name, length) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, name, &length) != 0)
    return 1;
  std::thread sender([&] {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, name, length) != 0 || write(client, "hello", 5) != 5) std::puts("nothing sent");
    close(client);
  });
  const int accepted = accept(listener, nullptr, nullptr);
  char text[8] = {};
  for (ssize_t got = 0, more; (more = read(accepted, text + got, 7 - static_cast<size_t>(got))) > 0;)
    got += more;
  sender.join();
  std::puts(text);
  close(accepted);
  close(listener);
}
