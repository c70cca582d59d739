// What a program asks about names and interfaces.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

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
}
