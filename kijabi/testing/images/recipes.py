"""What each image is made of: packages, the command, and the files that packages leave to their install scripts.

Read by `build.py`. A new image is one more line in RECIPES.
"""

from __future__ import annotations

import msgspec

NGINX_CONF = """\
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  access_log /dev/stdout;
  server_tokens off;
  include /etc/nginx/conf.d/*.conf;
}
"""
NGINX_SITE = """\
server {
  listen 80;
  listen [::]:80;
  root /usr/share/nginx/html;
  index index.html;
}
"""
NGINX_INDEX = """\
<!DOCTYPE html>
<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>
"""
# In every image besides its own packages: a shell and the usual small tools, where the image has none of its own.
TOOLS = "busybox-static"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """One image. version_of: the package whose version is the tag. files: written last; a value with `->` is a link.

    tools: the package of the shell and the usual small tools that every image has besides its own packages.
    """

    name: str
    packages: tuple[str, ...]
    version_of: str = ""
    tools: str = TOOLS
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    working_dir: str = ""
    stop_signal: str = ""
    directories: tuple[str, ...] = ()
    files: dict[str, str] = {}


RECIPES = (
    Recipe(name="busybox", packages=("busybox-static",), version_of="busybox-static", cmd=("sh",)),
    Recipe(
        name="nginx",
        packages=("nginx",),
        version_of="nginx",
        cmd=("nginx", "-g", "daemon off;"),
        ports=(80,),
        stop_signal="SIGQUIT",
        directories=("var/lib/nginx/body", "var/log/nginx", "usr/share/nginx/html", "etc/nginx/conf.d"),
        files={
            "etc/nginx/nginx.conf": NGINX_CONF,
            "etc/nginx/conf.d/default.conf": NGINX_SITE,
            "usr/share/nginx/html/index.html": NGINX_INDEX,
            "var/log/nginx/access.log": "-> /dev/stdout",
            "var/log/nginx/error.log": "-> /dev/stderr",
        },
    ),
    Recipe(
        name="redis",
        packages=("redis-server",),
        version_of="redis-server",
        cmd=("redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/data"),
        ports=(6379,),
        working_dir="/data",
        directories=("data",),
    ),
    Recipe(name="python", packages=("python3",), version_of="python3", cmd=("python3",), env=("PYTHONUNBUFFERED=1",)),
)

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
redis:x:999:999:redis:/data:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = "root:x:0:\nadm:x:4:\nwww-data:x:33:\nredis:x:999:\nnogroup:x:65534:\n"
COMMON_FILES = {
    "etc/passwd": PASSWD,
    "etc/group": GROUP,
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
COMMON_DIRECTORIES = ("etc", "home", "proc", "root", "run", "sys", "dev", "tmp", "var/log", "var/tmp")
# Of no use in a container, and most of the size (glob patterns).
PRUNED = (
    "usr/lib/*/gconv",
    "usr/lib/python3*/ensurepip",
    "usr/lib/python3*/lib2to3",
    "usr/lib/python3*/pydoc_data",
    "usr/share/gcc",
    "etc/init.d",
    "etc/logrotate.d",
    "lib/systemd",
    "usr/lib/systemd",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
    "var/cache/ldconfig",
)
