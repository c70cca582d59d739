// What a program asks about names and interfaces.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netdb.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <iterator>
#include <string>
#include <thread>

#include "scenarios.hpp"

void names() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  EXPECT(getaddrinfo("localhost", "80", &hints, &list) == 0);
  EXPECT(list->ai_family == AF_INET && list->ai_next == nullptr);
  EXPECT(reinterpret_cast<sockaddr_in*>(list->ai_addr)->sin_port == htons(80));
  char host[64], service[16];
  EXPECT(getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, service, sizeof service,
                     NI_NUMERICHOST | NI_NUMERICSERV) == 0);
  EXPECT(std::strcmp(host, "127.0.0.1") == 0 && std::strcmp(service, "80") == 0);
  freeaddrinfo(list);
  EXPECT(getaddrinfo("10.1.2.3", nullptr, &hints, &list) == 0);
  freeaddrinfo(list);
  hints.ai_flags = AI_NUMERICHOST;
  EXPECT(getaddrinfo("localhost", nullptr, &hints, &list) == EAI_NONAME);
  hints.ai_flags = AI_PASSIVE;
  EXPECT(getaddrinfo(nullptr, "80", &hints, &list) == 0);
  EXPECT(reinterpret_cast<sockaddr_in*>(list->ai_addr)->sin_addr.s_addr == INADDR_ANY);
  freeaddrinfo(list);
  EXPECT(getaddrinfo(nullptr, nullptr, &hints, &list) == EAI_NONAME);
  hints.ai_family = AF_UNIX;
  EXPECT(getaddrinfo("localhost", nullptr, &hints, &list) == EAI_FAMILY);

  // Every item is the program's by itself: lists are cut, joined and freed in parts.
  addrinfo* others = nullptr;
  EXPECT(getaddrinfo("10.1.2.3", "80", nullptr, &list) == 0 &&
         getaddrinfo("10.1.2.4", "81", nullptr, &others) == 0);
  addrinfo* const rest = list->ai_next;
  EXPECT(rest != nullptr && rest->ai_next != nullptr);
  list->ai_next = others;
  freeaddrinfo(list);
  EXPECT(rest->ai_family == AF_INET && rest->ai_addr->sa_family == AF_INET);
  EXPECT(reinterpret_cast<sockaddr_in*>(rest->ai_next->ai_addr)->sin_port == htons(80));
  freeaddrinfo(rest);

  const hostent* entry = gethostbyname("localhost");
  EXPECT(entry != nullptr && entry->h_length == 4 && entry->h_addr_list[0][0] == 127);
}

void interfaces() {
  ifaddrs* list = nullptr;
  EXPECT(getifaddrs(&list) == 0);
  bool found = false;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next)
    if (std::strcmp(one->ifa_name, "eth0") == 0 && one->ifa_addr->sa_family == AF_INET)
      found = reinterpret_cast<sockaddr_in*>(one->ifa_addr)->sin_addr.s_addr == inet_addr("10.0.0.2");
  EXPECT(found);
  freeifaddrs(list);
  EXPECT(if_nametoindex("eth0") == 2 && if_nametoindex("eth9") == 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "eth0");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT(ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu == 1500);
  EXPECT(ioctl(fd, SIOCSIFMTU, &request) == -1 && errno == EPERM);
  const int beside = socket(AF_UNIX, SOCK_DGRAM, 0);
  EXPECT(ioctl(beside, SIOCSIFFLAGS, &request) == -1 && errno == EPERM);
  arpreq neighbour{};  // squid asks for each client's
  neighbour.arp_pa.sa_family = AF_INET;
  EXPECT(ioctl(fd, SIOCGARP, &neighbour) == -1 && errno == ENODEV);
  std::strcpy(neighbour.arp_dev, "eth0");
  EXPECT(ioctl(fd, SIOCGARP, &neighbour) == -1 && errno == ENXIO);
  EXPECT(ioctl(fd, SIOCSARP, &neighbour) == -1 && errno == EPERM);
  EXPECT(ioctl(beside, SIOCGARP, &neighbour) == -1 && errno == ENOTTY);
}

namespace {

using namespace std::string_literals;

// What the server says that "0.test" and 192.0.2.0 are called, "1.test" and 192.0.2.1, …
const std::string kLabels[] = {"_good-", "bad\x1b[2Jx", "line\nfeed", "trusted.example", "nul\0x"s, "-lead"};

std::string record(const std::string& owner, char type, const std::string& data) {
  return owner + '\0' + type + "\0\1\0\0\0\x3c\0"s + static_cast<char>(data.size()) + data;
}

// Pointers to the name, and addresses by way of an alias.
void answer(int server) {
  char query[512];
  sockaddr_in peer{};
  socklen_t room = sizeof peer;
  const ssize_t length = recvfrom(server, query, sizeof query, 0, reinterpret_cast<sockaddr*>(&peer), &room);
  EXPECT(length > 18);
  const std::string& label = kLabels[query[13] - '0'];
  const std::string target = static_cast<char>(label.size()) + label + "\4test\0"s;
  const bool asks_pointer = query[length - 3] == 12;
  std::string reply(query, static_cast<size_t>(length));
  reply.replace(2, 2, "\x81\x80");
  reply[7] = asks_pointer ? 1 : 2;
  reply += record("\xc0\x0c", asks_pointer ? 12 : 5, target);
  if (!asks_pointer) reply += record(target, 1, "\xc0\0\2\x9"s);
  EXPECT(sendto(server, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&peer), room) ==
         static_cast<ssize_t>(reply.size()));
}

}  // namespace

// Whoever owns an address says what it is called, and must not write into logs and terminals with it.
void names_of_servers() {
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in here = loopback(53);
  EXPECT(bind(server, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
  std::thread answers([&] {
    for (size_t i = 0; i < 2 * std::size(kLabels); ++i) answer(server);
  });
  for (size_t i = 0; i < std::size(kLabels); ++i) {
    const std::string asked = std::to_string(i) + ".test";
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_flags = AI_CANONNAME;
    addrinfo* list = nullptr;
    EXPECT(getaddrinfo((asked + '.').c_str(), nullptr, &hints, &list) == 0);
    EXPECT(reinterpret_cast<sockaddr_in*>(list->ai_addr)->sin_addr.s_addr == inet_addr("192.0.2.9"));
    EXPECT(list->ai_canonname == (i == 0 ? "_good-.test" : asked));
    freeaddrinfo(list);
    const in_addr address{htonl(0xc0000200 + static_cast<uint32_t>(i))};
    const hostent* pointed = gethostbyaddr(&address, sizeof address, AF_INET);
    EXPECT(i == 0 ? pointed != nullptr && pointed->h_name == "_good-.test"s : pointed == nullptr);
  }
  answers.join();
  close(server);
}
