/* Set-user-ID root, as s6-overlay-suexec is: runs preinit as root for a container whose user is not. */
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char uid[32], gid[32];
    char *environment[] = {"PATH=/command:/usr/bin:/bin", 0};
    char *argv[] = {"sh", "-e", "/package/stages/preinit", uid, gid, 0};
    snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
    snprintf(gid, sizeof gid, "%u", (unsigned)getgid());
    if (setresgid(0, 0, 0) || setresuid(0, 0, 0)) perror("preinit: warning: not as root");
    execve("/bin/busybox", argv, environment);
    perror("preinit: fatal: unable to execute /bin/busybox");
    return 111;
}
