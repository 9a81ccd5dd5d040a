/* A server that only uses a blocking accept(2), with one connection at a time. Its answer contains the address
   of the client, which the test checks. It ends at any error of accept, like many such programs. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 16)) {
		perror("bind or listen");
		return 3;
	}
	for (;;) {
		struct sockaddr_in peer;
		socklen_t n = sizeof peer;
		memset(&peer, 0xee, sizeof peer);
		int c = accept(s, (struct sockaddr *)&peer, &n);
		if (c < 0) {
			perror("accept");
			return 4;
		}
		char in[4096], out[256];
		ssize_t got = read(c, in, sizeof in);
		if (got > 0) {
			if (argc > 2)
				usleep(atoi(argv[2]) * 1000);
			char body[100];
			snprintf(body, sizeof body, "pid %d peer %s\n", getpid(), inet_ntoa(peer.sin_addr));
			int len = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
			if (write(c, out, len) != len)
				perror("write");
			shutdown(c, SHUT_WR);
		}
		close(c);
	}
}
