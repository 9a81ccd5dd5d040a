/* This is a server as in textbooks: socket, bind, listen, and a blocking accept. It serves one request at a time. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(int conn)
{
	char request[4096] = "", path[256] = "", body[300], head[200];
	size_t have = 0;
	ssize_t n;

	while (!strstr(request, "\r\n\r\n") && have < sizeof request - 1) {
		n = read(conn, request + have, sizeof request - 1 - have);
		if (n <= 0)
			return;
		have += n;
		request[have] = 0;
	}
	sscanf(request, "GET %255[^? ]", path);
	char *ms = strstr(request, "ms=");
	if (ms)
		usleep(1000 * atoi(ms + 3));
	int len = snprintf(body, sizeof body, "hello from %s by %d\n", path, getpid());
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len);
	if (write(conn, head, strlen(head)) < 0 || write(conn, body, len) < 0)
		perror("write");
}

int main(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT"))) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 16) < 0) {
		perror("listen");
		return 1;
	}
	for (;;) {
		int conn = accept(fd, NULL, NULL);
		if (conn < 0) {
			perror("accept");
			return 1;
		}
		answer(conn);
		close(conn);
	}
}
