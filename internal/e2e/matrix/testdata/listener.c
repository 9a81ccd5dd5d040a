/* This program installs a seccomp filter with a user notification descriptor, as some sandboxes do, and then executes the
 * command in its arguments. The kernel permits at most one such filter per process. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 1, allow };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* The copy of the descriptor has no close-on-exec flag, so it stays open after execv. */
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (fd < 0 || dup(fd) < 0) {
		perror("seccomp");
		return 1;
	}
	execv(argv[1], argv + 1);
	perror("execv");
	return 1;
}
