/* argv[1] binds of TCP and UDP to free ports, which the shim does not answer, then a bind to port argv[2], which
   it answers. Then the program prints the result. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
	for (int i = 0; i < atoi(argv[1]); i++) {
		int s = socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t n = sizeof a;
		if (bind(s, (struct sockaddr *)&a, sizeof a) || getsockname(s, (struct sockaddr *)&a, &n) || !a.sin_port) {
			perror("bind");
			return 3;
		}
		if (i % 2 && listen(s, 1)) {
			perror("listen");
			return 3;
		}
		close(s);
	}
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 16)) {
		perror("last bind");
		return 4;
	}
	puts("done");
	fflush(stdout);
	ppoll(NULL, 0, NULL, NULL); /* pause(2), but the same call on every architecture */
}
