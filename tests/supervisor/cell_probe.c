/* A statically linked program that goes around every library: raw system calls, one line of "name errno"
 * each. What a program in a cell can reach that no preload sees. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* name, long result) {
  printf("%s %s\n", name, result >= 0 ? "ok" : strerrorname_np(errno));
}

static long raw_connect(const char* address, int port) {
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  inet_pton(AF_INET, address, &peer.sin_addr);
  const long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return fd;
  const long result = syscall(SYS_connect, fd, &peer, sizeof peer);
  const int saved = errno;
  close((int)fd);
  errno = saved;
  return result;
}

static long raw_datagram(const char* address) {
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, address, &peer.sin_addr);
  const long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  const long result = syscall(SYS_sendto, fd, "x", 1, 0, &peer, sizeof peer);
  const int saved = errno;
  close((int)fd);
  errno = saved;
  return result;
}

/* What follows the first line could harm the machine if no cell held it back, so it is tried in a cell only.
 */
static int in_a_cell(void) {
  char name[32] = {0};
  const int fd = open("/proc/1/comm", O_RDONLY);
  const ssize_t length = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
  close(fd);
  return length > 0 && strcmp(name, "skerry-cell\n") == 0;
}

/* Root may chroot(2). Out again the known way, there is the cell that was there before. */
static void leave_chroot(void) {
  const int outside = open("/", O_DIRECTORY | O_RDONLY);
  mkdir("/dev/shm/jail", 0755);
  const long jailed = chroot("/dev/shm/jail");
  say("chroot", jailed);
  if (jailed != 0) return;
  say("chroot-namespace", unshare(CLONE_NEWUSER));
  if (fchdir(outside) != 0) return;
  for (int i = 0; i < 64; ++i)
    if (chdir("..") != 0) return;
  if (chroot(".") != 0) return;
  say("chroot-cell", in_a_cell() ? 0 : -1);
  say("chroot-mount", mount("none", "/tmp", "tmpfs", 0, NULL));
  say("chroot-unmount", umount2("/run", MNT_DETACH));
  say("chroot-core-pattern", open("/proc/sys/kernel/core_pattern", O_WRONLY));
  say("chroot-init", open("/proc/1/root", O_RDONLY));
  say("chroot-tun", open("/dev/net/tun", O_RDWR));
}

int main(int count, char** arguments) {
  const int port = count > 1 ? atoi(arguments[1]) : 80;
  say("connect-loopback", raw_connect("127.0.0.1", port));
  if (!in_a_cell()) return 0;
  say("connect-outside", raw_connect("192.0.2.1", 80));
  say("datagram", raw_datagram("192.0.2.1"));
  say("packet", syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0));
  say("vsock", syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0));
  say("vsock-high-bits", syscall(SYS_socket, 0x100000000UL | AF_VSOCK, SOCK_STREAM, 0));
  say("bluetooth", syscall(SYS_socket, AF_BLUETOOTH, SOCK_RAW, 0));
  say("alg", syscall(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0));
  say("raw", syscall(SYS_socket, AF_INET, SOCK_RAW, 1));
  say("unix", syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
  say("route", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0));
  say("netfilter", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 12));
  say("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
  say("userfaultfd", syscall(SYS_userfaultfd, 0));
  say("bpf", syscall(SYS_bpf, 0, NULL, 0));
  say("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
  say("keyctl", syscall(SYS_keyctl, 0, -3, 0));
  say("tiocsti", ioctl(0, TIOCSTI, "x"));
  say("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
  say("unmount-proc", umount2("/proc/sys", MNT_DETACH));
  say("unmount-run", umount2("/run", MNT_DETACH));
  say("trace-init", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
  say("core-pattern", open("/proc/sys/kernel/core_pattern", O_WRONLY));
  say("tun", open("/dev/net/tun", O_RDWR));
  say("init-memory", open("/proc/1/mem", O_RDONLY));
  leave_chroot();
  return 0;
}
