// The names that a ruleset may use, as libnftables asks the C library for them: services and protocols by
// IANA's name, addresses only as numbers, users and groups not at all. A ruleset then means the same on every
// host. Nor does it include files: there are none here.
//
// These functions replace those of the C library in this process; see netlink.hpp.
#include <arpa/inet.h>
#include <glob.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "nftc/names.hpp"

namespace skerry::nftc {
bool asked_for_files = false;
}

namespace {

struct Name {
  const char* name;
  int number;
};

constexpr Name kProtocols[] = {
    {"ip", 0},          {"icmp", 1},       {"igmp", 2},         {"ipencap", 4},     {"tcp", 6},
    {"egp", 8},         {"igp", 9},        {"udp", 17},         {"dccp", 33},       {"ipv6", 41},
    {"ipv6-route", 43}, {"ipv6-frag", 44}, {"rsvp", 46},        {"gre", 47},        {"esp", 50},
    {"ah", 51},         {"ipv6-icmp", 58}, {"icmpv6", 58},      {"ipv6-nonxt", 59}, {"ipv6-opts", 60},
    {"eigrp", 88},      {"ospf", 89},      {"ipip", 94},        {"etherip", 97},    {"encap", 98},
    {"pim", 103},       {"ipcomp", 108},   {"vrrp", 112},       {"l2tp", 115},      {"isis", 124},
    {"sctp", 132},      {"udplite", 136},  {"mpls-in-ip", 137}, {"manet", 138},     {"hip", 139},
};

constexpr Name kServices[] = {
    {"echo", 7},
    {"discard", 9},
    {"daytime", 13},
    {"chargen", 19},
    {"ftp-data", 20},
    {"ftp", 21},
    {"ssh", 22},
    {"telnet", 23},
    {"smtp", 25},
    {"time", 37},
    {"whois", 43},
    {"tacacs", 49},
    {"domain", 53},
    {"bootps", 67},
    {"bootpc", 68},
    {"tftp", 69},
    {"gopher", 70},
    {"finger", 79},
    {"http", 80},
    {"kerberos", 88},
    {"pop3", 110},
    {"sunrpc", 111},
    {"auth", 113},
    {"nntp", 119},
    {"ntp", 123},
    {"epmap", 135},
    {"netbios-ns", 137},
    {"netbios-dgm", 138},
    {"netbios-ssn", 139},
    {"imap2", 143},
    {"imap", 143},
    {"snmp", 161},
    {"snmp-trap", 162},
    {"bgp", 179},
    {"irc", 194},
    {"ldap", 389},
    {"https", 443},
    {"microsoft-ds", 445},
    {"kpasswd", 464},
    {"submissions", 465},
    {"isakmp", 500},
    {"syslog", 514},
    {"printer", 515},
    {"route", 520},
    {"nfs", 2049},
    {"dhcpv6-client", 546},
    {"dhcpv6-server", 547},
    {"rtsp", 554},
    {"submission", 587},
    {"ipp", 631},
    {"ldaps", 636},
    {"domain-s", 853},
    {"rsync", 873},
    {"ftps-data", 989},
    {"ftps", 990},
    {"telnets", 992},
    {"imaps", 993},
    {"pop3s", 995},
    {"socks", 1080},
    {"openvpn", 1194},
    {"ms-sql-s", 1433},
    {"l2f", 1701},
    {"radius", 1812},
    {"radius-acct", 1813},
    {"mysql", 3306},
    {"ms-wbt-server", 3389},
    {"nut", 3493},
    {"ipsec-nat-t", 4500},
    {"sip", 5060},
    {"sip-tls", 5061},
    {"xmpp-client", 5222},
    {"mdns", 5353},
    {"postgresql", 5432},
    {"amqp", 5672},
    {"redis", 6379},
    {"http-alt", 8080},
    {"git", 9418},
};

template <size_t N>
const Name* find(const Name (&names)[N], const char* name) {
  for (const Name& each : names) {
    if (std::strcmp(each.name, name) == 0) return &each;
  }
  return nullptr;
}

// Port in network order, or -1.
int port_of(const char* service) {
  char* end = nullptr;
  const unsigned long number = std::strtoul(service, &end, 10);
  if (*service != '\0' && *end == '\0') return number <= 65535 ? htons(static_cast<uint16_t>(number)) : -1;
  const Name* known = find(kServices, service);
  return known != nullptr ? htons(static_cast<uint16_t>(known->number)) : -1;
}

struct Found {
  addrinfo info{};
  sockaddr_storage address{};
};

}  // namespace

extern "C" {

int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  auto found = std::make_unique<Found>();
  auto* v4 = reinterpret_cast<sockaddr_in*>(&found->address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&found->address);
  const int family = hints != nullptr && hints->ai_family != AF_UNSPEC ? hints->ai_family : AF_INET;
  found->address.ss_family = static_cast<sa_family_t>(family);
  if (node != nullptr &&
      inet_pton(family, node, family == AF_INET6 ? static_cast<void*>(&v6->sin6_addr) : &v4->sin_addr) != 1)
    return EAI_NONAME;
  if (service != nullptr) {
    const int port = port_of(service);
    if (port < 0) return EAI_SERVICE;
    v4->sin_port = static_cast<in_port_t>(port);  // the same place in a sockaddr_in6
  }
  found->info.ai_family = family;
  found->info.ai_addrlen = family == AF_INET6 ? sizeof *v6 : sizeof *v4;
  found->info.ai_addr = reinterpret_cast<sockaddr*>(&found->address);
  *result = &found.release()->info;
  return 0;
}

void freeaddrinfo(addrinfo* info) noexcept {
  delete reinterpret_cast<Found*>(info);
}

// Of `include`. A pattern that no file has is nothing to libnftables, and the rules behind it would be left
// out without a word. So each stands for one file, which cannot be opened: that is said, with its line.
int glob(const char*, int, int (*)(const char*, int), glob_t* found) {
  static char file[] = "the files of an include";
  static char* only[] = {file, nullptr};
  skerry::nftc::asked_for_files = true;
  found->gl_pathc = 1;
  found->gl_pathv = only;
  return 0;
}

void globfree(glob_t*) {}

protoent* getprotobyname(const char* name) {
  static protoent entry;
  const Name* known = find(kProtocols, name);
  if (known == nullptr) return nullptr;
  entry.p_name = const_cast<char*>(known->name);
  entry.p_proto = known->number;
  return &entry;
}

protoent* getprotobynumber(int) {
  return nullptr;
}
servent* getservbyport(int, const char*) {
  return nullptr;
}
passwd* getpwnam(const char*) {
  return nullptr;
}
passwd* getpwuid(uid_t) {
  return nullptr;
}
group* getgrnam(const char*) {
  return nullptr;
}
group* getgrgid(gid_t) {
  return nullptr;
}

}  // extern "C"
