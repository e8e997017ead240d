/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/up/front.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/up/here.h"
#include "hostd/up/rootdir.h"
#include "hostd/up/web_files.h"

#define FRONT_CONF "run/front.conf"

/* Whom the workers are when we are root. A container may have neither of the two: then root. */
static const struct passwd *front_user(void)
{
    const struct passwd *user = getpwnam("www-data"); /* as Debian's nginx has it */

    return user ? user : getpwnam("nobody");
}

gid_t front_group(void)
{
    const struct passwd *user = geteuid() == 0 ? front_user() : NULL;

    return user ? user->pw_gid : (gid_t)-1;
}

static void put_user(struct buf *conf)
{
    const struct passwd *user = front_user();
    const struct group *group = user ? getgrgid(user->pw_gid) : NULL;

    if (user && group)
        buf_printf(conf, "user %s %s;\n", user->pw_name, group->gr_name);
    else
        buf_put_str(conf, "user root;\n");
}

static void put_listen(struct buf *conf, const struct front_config *config)
{
    const char *open = strchr(config->address, ':') ? "[" : "";

    buf_printf(conf, "    listen %s%s%s:%u%s ssl http2 backlog=1024;\n", open, config->address,
               *open ? "]" : "", config->port,
               strcmp(config->address, "::") ? "" : " ipv6only=off");
}

/* Bodies of API calls are collected here first, so that slow clients cost hostd nothing; files are
 * passed on as they come. Answers may take hours: that is what waiting for updates is. */
/* Certificates are looked for from the configuration's folder on, all else from ours. */
static void put_server(struct buf *conf)
{
    static const char *const streamed[] = {"/folder", "/nfc/", "/guestFile"};

    /* Programs that keep a connection (HTTP/1.1) do not expect its end; browsers with HTTP/2 do,
     * and there the server's limit counts: who begins and breaks off requests has to connect anew.
     */
    static const char *const endless = "      keepalive_requests 1000000000;\n";

    buf_put_str(conf, "    ssl_certificate ../" ROOTDIR_CERT ";\n"
                      "    ssl_certificate_key ../" ROOTDIR_KEY ";\n"
                      "    ssl_protocols TLSv1.2 TLSv1.3;\n"
                      "    ssl_session_cache shared:tls:4m;\n"
                      "    proxy_http_version 1.1;\n"
                      "    proxy_set_header Host $http_host;\n"
                      "    proxy_set_header X-Real-IP $remote_addr;\n"
                      "    proxy_set_header X-Forwarded-For \"\";\n"
                      "    proxy_set_header Connection $to_hostd;\n"
                      "    proxy_set_header Upgrade $leaves_http;\n"
                      "    proxy_connect_timeout 10s;\n"
                      "    proxy_send_timeout 120s;\n"
                      "    proxy_read_timeout 25h;\n");
    buf_printf(conf,
               "    location / {\n"
               "%s"
               "      client_max_body_size 16m;\n"
               "      proxy_pass http://hostd;\n"
               "    }\n",
               endless);
    for (unsigned i = 0; i < ARRAY_SIZE(streamed); i++)
        buf_printf(conf,
                   "    location %s {\n"
                   "%s"
                   "      client_max_body_size 0;\n"
                   "      proxy_request_buffering off;\n"
                   "      client_body_buffer_size 256k;\n" /* HTTP/2: how much may be under way */
                   "      proxy_max_temp_file_size 0;\n"
                   "      proxy_buffers 16 64k;\n"
                   "      proxy_busy_buffers_size 256k;\n"
                   "      proxy_pass http://hostd;\n"
                   "    }\n",
                   streamed[i], endless);
}

/* The host client: files of ours only, nothing from elsewhere; those with a hash in their names
 * never change. Styles that scripts write (the terminal's) need 'unsafe-inline'. The workers find
 * the files from their working directory on: the folders above it need not be open to them. */
static void put_web(struct buf *conf)
{
    static const char headers[] =
        "      add_header Content-Security-Policy \"default-src 'none'; script-src 'self'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\" always;\n"
        "      add_header X-Content-Type-Options nosniff always;\n"
        "      add_header Referrer-Policy no-referrer always;\n";

    buf_printf(conf,
               "    location = / { return 302 /ui/; }\n"
               "    location = /ui { return 302 /ui/; }\n"
               "    location /ui/ {\n"
               "      alias /proc/self/cwd/%s/;\n"
               "      index index.html;\n"
               "      gzip_static on;\n"
               "%s"
               "      add_header Cache-Control no-cache always;\n"
               "    }\n"
               "    location ~ ^/ui/([a-z]+-[A-Z0-9]+\\.(?:js|css))$ {\n"
               "      alias /proc/self/cwd/%s/$1;\n"
               "      gzip_static on;\n"
               "%s"
               "      add_header Cache-Control \"public, max-age=31536000, immutable\" always;\n"
               "    }\n",
               WEB_FILES_FOLDER, headers, WEB_FILES_FOLDER, headers);
}

static void put_types(struct buf *conf)
{
    buf_put_str(conf, "  types { text/html html; text/css css; text/javascript js; "
                      "application/json json; image/svg+xml svg; }\n");
}

static void put_conf(struct buf *conf, const struct front_config *config)
{
    static const char *const folders[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};

    if (geteuid() == 0)
        put_user(conf);
    buf_put_str(conf, "# Written at each start; changes are lost.\n"
                      "daemon off;\n"
                      "pid run/front.pid;\n"
                      "worker_processes 1;\n"
                      "worker_rlimit_nofile 8192;\n"
                      "events { worker_connections 4000; }\n"
                      "http {\n"
                      "  access_log off;\n"
                      "  server_tokens off;\n"
                      "  default_type application/octet-stream;\n"
                      "  keepalive_timeout 75s;\n"
                      "  keepalive_requests 10000;\n"
                      "  http2_max_concurrent_streams 64;\n" /* what a page waits for, twice over */
                      "  client_header_timeout 20s;\n"
                      "  client_body_timeout 60s;\n"
                      "  send_timeout 60s;\n"
                      "  reset_timedout_connection on;\n"
                      "  large_client_header_buffers 4 16k;\n");
    for (unsigned i = 0; i < ARRAY_SIZE(folders); i++)
        buf_printf(conf, "  %s_temp_path run/front/%s;\n", folders[i], folders[i]);
    put_types(conf);
    /* WebSockets are of HTTP/1.1: with HTTP/2 on the same port, browsers open a connection for
     * each. */
    buf_put_str(conf,
                "  map $server_protocol $leaves_http { HTTP/1.1 $http_upgrade; default ''; }\n"
                "  map $leaves_http $to_hostd { default upgrade; '' ''; }\n"
                "  upstream hostd { server unix:" ROOTDIR_HTTP
                "; keepalive 64; keepalive_requests 1000000000; }\n"
                "  server {\n");
    put_listen(conf, config);
    put_server(conf);
    if (config->web)
        put_web(conf);
    buf_put_str(conf, "  }\n}\n");
}

/* In the child, after fork: only async-signal-safe calls. All names are relative to the folder, so
 * that its workers, which may be another user, need not get through what is above it. */
static void exec_nginx(void)
{
    static const char *const places[] = {"/usr/sbin/nginx", "/usr/local/sbin/nginx"};
    char *env[] = {NULL};
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)setpgid(0, 0); /* the terminal's Ctrl-C is for us alone */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        const char *argv[] = {"socle-front",   "-p", "./",       "-e",
                              "log/front.log", "-c", FRONT_CONF, NULL};
        (void)execve(places[i], (char *const *)argv, env);
    }
    _exit(127);
}

/* A configuration that is there already is not written again: the disk may be full. */
static int write_conf(const struct buf *conf, struct err *err)
{
    cleanup_buf struct buf before = {0};

    if (file_load(AT_FDCWD, FRONT_CONF, conf->len, &before, NULL) == 0 && before.len == conf->len &&
        !memcmp(before.data, conf->data, conf->len))
        return 0;
    return file_replace(AT_FDCWD, FRONT_CONF, 0600, conf->data, conf->len, err);
}

int front_start(const struct front_config *config, pid_t *ret_pid, struct err *err)
{
    cleanup_buf struct buf conf = {0};

    put_conf(&conf, config);
    if (conf.failed)
        return err_sys(err, -ENOMEM, "the front's configuration");
    if (access("/usr/sbin/nginx", X_OK) < 0 && access("/usr/local/sbin/nginx", X_OK) < 0)
        return err_set(err, -ENOENT, "nginx is not installed; on Debian: apt-get install nginx");
    int rc = mkdir("run/front", 0711) < 0 && errno != EEXIST ? -errno : 0;
    if (rc < 0)
        return err_sys(err, rc, "cannot make the folder \"run/front\"");
    rc = write_conf(&conf, err);
    if (rc < 0)
        return rc;
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, -errno, "cannot start nginx");
    if (pid == 0)
        exec_nginx();
    *ret_pid = pid;
    return 0;
}

static void end_one(void *ctx, pid_t pid)
{
    enum { WAIT_MS = 2000 };
    cleanup_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};

    (void)ctx;
    if (kill(pid, SIGKILL) == 0)
        (void)poll(&ended, 1, WAIT_MS);
}

void front_sweep(void)
{
    (void)here_each("nginx", end_one, NULL);
}
