// What programs do with stdin, stdout and stderr, one way a word: standard_streams.py runs it with sockets
// there.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <string>

namespace {

char line[200];

// As inetd(8) starts it.
void server(int) {
  while (fgets(line, sizeof line, stdin)) {
    printf("%d %d you said %s", fileno(stdin), fileno(stdout), line);
    fflush(stdout);
  }
  puts("the end");
}

void characters(int) {
  for (int letter; (letter = getchar()) != EOF && letter != '.';) putchar(letter == 'a' ? 'A' : letter);
  int number = 0;
  if (scanf(" %d", &number) == 1) fprintf(stderr, "twice that is %d\n", 2 * number);
  perror("nothing");
}

void cpp(int) {
  std::string word;
  while (std::cin >> word) std::cout << word.size() << std::endl;
  std::cerr << "the end\n";
}

// It makes its own output a socket, with something printed before.
void redirected(int fd) {
  printf("printed before, ");
  dup2(fd, STDOUT_FILENO);
  printf("and after\n");
}

void redirected_and_back(int fd) {
  printf("first ");
  fflush(stdout);
  const int before = dup(STDOUT_FILENO);
  dup2(fd, STDOUT_FILENO);
  printf("to the socket");
  fflush(stdout);
  dup2(before, STDOUT_FILENO);
  printf("last");
}

void closed_and_given_again(int fd) {
  close(STDOUT_FILENO);
  if (dup(fd) == STDOUT_FILENO) puts("the lowest number");
}

// Some of what it was to read has been read ahead.
void read_ahead(int fd) {
  if (!fgets(line, sizeof line, stdin)) return;
  dup2(fd, STDIN_FILENO);
  dup2(fd, STDOUT_FILENO);
  for (int i = 0; i < 2 && fgets(line, sizeof line, stdin); ++i) printf("then %s", line);
}

void lines(int fd) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  dup2(fd, STDOUT_FILENO);
  printf("whole\nhalf");
  _exit(0);
}

void unbuffered(int fd) {
  dup2(fd, STDOUT_FILENO);
  setvbuf(stdout, nullptr, _IONBF, 0);
  printf("at once");
  _exit(0);
}

void much(int fd) {
  dup2(fd, STDOUT_FILENO);
  for (int i = 0; i < 30000; ++i) printf("%d ", i);
}

void in_a_child(int fd) {
  printf("twice ");
  dup2(fd, STDOUT_FILENO);
  if (fork() == 0) {
    printf("child\n");
    exit(0);
  }
  wait(nullptr);
  printf("parent\n");
}

void dropped_by_exec(int fd) {
  printf("never");
  dup2(fd, STDOUT_FILENO);
  execlp("echo", "echo", "echoed", nullptr);
}

void closed(int fd) {
  dup2(fd, STDOUT_FILENO);
  printf("before");
  const int result = fclose(stdout);
  fprintf(stderr, "%d %zd\n", result, write(STDOUT_FILENO, "x", 1));
}

void reopened(int fd) {
  dup2(fd, STDOUT_FILENO);
  printf("to the socket");
  const bool is_null = freopen("/dev/null", "w", stdout) == nullptr;
  printf("to nobody");
  fprintf(stderr, "%d %d %d\n", is_null, fflush(stdout), fileno(stdout));
}

// Which reads no more.
void to_a_closed_peer(int fd) {
  signal(SIGPIPE, SIG_IGN);
  dup2(fd, STDOUT_FILENO);
  while (fgets(line, sizeof line, stdin)) continue;
  int result = 0;
  while (result == 0) {
    printf("word");
    result = fflush(stdout);
  }
  fprintf(stderr, "%s\n", strerror(errno));
}

constexpr struct {
  const char* name;
  void (*run)(int fd);
} kWays[] = {{"server", server},
             {"characters", characters},
             {"cpp", cpp},
             {"redirected", redirected},
             {"redirected_and_back", redirected_and_back},
             {"closed_and_given_again", closed_and_given_again},
             {"read_ahead", read_ahead},
             {"lines", lines},
             {"unbuffered", unbuffered},
             {"much", much},
             {"in_a_child", in_a_child},
             {"dropped_by_exec", dropped_by_exec},
             {"closed", closed},
             {"reopened", reopened},
             {"to_a_closed_peer", to_a_closed_peer}};

}  // namespace

int main(int, char** words) {
  for (const auto& way : kWays)
    if (strcmp(way.name, words[1]) == 0) way.run(words[2] ? atoi(words[2]) : -1);
}
