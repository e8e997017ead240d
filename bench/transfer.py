#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast files go to a datastore and come from it, beside `cp` and a plain nginx.

Interleaved runs of the same bytes on the same file system: the best of each. The bar: at least half of cp's rate, which for uploads
has to bring the bytes to stable storage, as the host does. `floor` (bench/floor.c) is two processes that do nothing but move the
bytes over TCP, plain and with TLS: no server and no client can be faster.

usage: transfer.py BUILD [MIB [ROUNDS]]
"""

import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../tests/api"))
from host import Host, free_port  # noqa: E402

CONF = """daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {folder}/body; sendfile on; client_max_body_size 0;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {root}/config/cert.pem; ssl_certificate_key {root}/config/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3; root {folder}/www; location / {{ dav_methods PUT; create_full_put_path on; }} }} }}
"""


def cpu_of(pids):
    """Processor seconds that these have used."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(servers, command):
    """Seconds by the clock, processor seconds of the servers, and of the command."""
    start, before = time.monotonic(), cpu_of(servers)
    children = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    own = after.children_user + after.children_system - children.children_user - children.children_system
    return time.monotonic() - start, cpu_of(servers) - before, own


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def curl(host, *arguments):
    return ("curl", "-sfk", "-u", f"root:{host.password}", *arguments)


def certificate(host):
    """Where the host has it: names of files are its own affair."""
    found = {}
    for folder, _, names in os.walk(host.root):
        for name in names:
            if name.endswith((".crt", ".pem", ".key")):
                with open(os.path.join(folder, name), encoding="latin-1") as file:
                    head = file.read(60)
                found["key" if "PRIVATE" in head else "cert"] = os.path.join(folder, name)
    return found


class Nginx:
    def __init__(self, host, folder):
        self.port = free_port()
        os.makedirs(f"{folder}/www")
        os.chmod(folder, 0o777)
        os.chmod(f"{folder}/www", 0o777)
        files = certificate(host)
        conf = CONF.format(folder=folder, port=self.port, root=host.root, user="user root;" if os.geteuid() == 0 else "")
        conf = conf.replace(f"{host.root}/config/cert.pem", files["cert"]).replace(f"{host.root}/config/key.pem", files["key"])
        with open(f"{folder}/conf", "w", encoding="utf-8") as file:
            file.write(conf)
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/conf"])
        time.sleep(0.5)

    def url(self, name):
        return f"https://127.0.0.1:{self.port}/{name}"

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    size, rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 512, int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with Host(sys.argv[1]) as host, tempfile.TemporaryDirectory(dir=host.folder) as folder:
        source = f"{folder}/source"
        with open(source, "wb") as file:
            for _ in range(size):
                file.write(os.urandom(1 << 20))
        nginx = Nginx(host, f"{folder}/nginx") if not os.makedirs(f"{folder}/nginx") else None
        os.link(source, f"{folder}/nginx/www/file")
        os.link(source, host.path("file"))
        up = f"https://127.0.0.1:{host.port}/folder/up?dsName=datastore1"
        down = f"https://127.0.0.1:{host.port}/folder/file?dsName=datastore1"
        local = curl(host, "--unix-socket", f"{host.root}/run/local.sock")
        socle = (f"{sys.argv[1]}/socle", "datastore")
        floor = lambda how: (f"{sys.argv[1]}/bench/bench-floor", how, source, f"{folder}/got", *(certificate(host)[k] for k in ("cert", "key")))
        runs = {
            "cp": ("cp", source, f"{folder}/copy"),
            "cp and sync": ("sh", "-c", f"cp {source} {folder}/copy && sync {folder}/copy"),
            "floor, TCP": floor("plain"),
            "floor, TLS": floor("tls"),
            "floor, TLS, not written": floor("discard"),
            "download, socle": (*socle, "download", "--root", host.root, "[datastore1] file", f"{folder}/got"),
            "upload, socle": (*socle, "upload", "--root", host.root, source, "[datastore1] cli"),
            "download, nginx": ("curl", "-sfk", "-o", f"{folder}/got", nginx.url("file")),
            "download, host": curl(host, "--http1.1", "-o", f"{folder}/got", down),
            "download, local socket": (*local, "-o", f"{folder}/got", "http://host/folder/file?dsName=datastore1"),
            "upload, local socket": (*local, "-T", source, "http://host/folder/local?dsName=datastore1"),
            "upload, nginx": ("curl", "-sfk", "-T", source, nginx.url("up")),
            "upload, nginx and sync": ("sh", "-c", f"curl -sfk -T {source} {nginx.url('up')} && sync {folder}/nginx/www/up"),
            "upload, host": curl(host, "--http1.1", "-T", source, up),
            "upload, host, HTTP/2": curl(host, "--http2", "-T", source, up),
        }
        plain = [nginx.process.pid, *children_of(nginx.process.pid)]
        ours = host.processes("socle-hostd") + host.processes("nginx")
        best, cpu = {}, {}
        for _ in range(rounds):
            for name, command in runs.items():
                for target in ("copy", "got"):
                    if os.path.exists(f"{folder}/{target}"):
                        os.unlink(f"{folder}/{target}")  # each makes its file anew
                servers = ours if any(word in name for word in (", host", "socket", "socle")) else plain if "nginx" in name else []
                seconds, *used = timed(servers, command)
                best[name] = min(best.get(name, 1e9), seconds)
                cpu[name] = min(cpu.get(name, [1e9, 1e9]), used, key=sum)
        nginx.stop()
        rate = {name: size / seconds for name, seconds in best.items()}
        print(f"{size} MiB, best of {rounds}      MiB/s   processor ms per MiB of the server, of the client or cp")
        for name, value in rate.items():
            print(f"  {name:24} {value:8.0f}   {cpu[name][0] / size * 1000:8.2f} {cpu[name][1] / size * 1000:8.2f}")
        for name, peer in (("download, socle", "cp"), ("upload, socle", "cp and sync"), ("floor, TCP", "cp"), ("floor, TLS", "cp"),
                           ("download, host", "floor, TLS"), ("download, host", "download, nginx"), ("upload, host", "upload, nginx and sync"),
                           ("download, host", "cp"), ("upload, host", "cp and sync"), ("download, local socket", "cp"),
                           ("upload, local socket", "cp and sync")):
            print(f"  {name} / {peer}: {rate[name] / rate[peer]:.2f}")


main()
